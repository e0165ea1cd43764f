"""Pages to look at: every kind of finding, with names that are markup."""

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from serving.bundle.manifest import Lineage
from serving.job.evaluation import BadCase, Evaluation
from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.report.data import ReportData, ReportPictures
from spark_jobs.report.page import render_report
from spark_jobs.report.summary import summarise
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import (
    EtlReport,
    LabelledPair,
    NearDuplicates,
    Picture,
    Pictures,
    RejectedSample,
    SampleGroup,
    SideFindings,
)
from spark_jobs.spec import Champion, StageCount
from tests.spark_jobs.report.plain import describe_metrics
from tests.spark_jobs.tiny import CLASSES, make_picture

EVIL = "<img src=x onerror=alert(1)>\"'"


class Page(HTMLParser):
    """Tags, attributes and text as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._quiet = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._quiet = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._quiet = self._quiet and tag not in ("script", "style")

    def handle_data(self, data: str) -> None:
        self.text += "" if self._quiet else data


def make_etl(classes: tuple[str, ...]) -> EtlReport:
    """Every kind of finding, with names that are markup."""
    group = SampleGroup(size=9, labels=(classes[0],), names=(f"{EVIL}1.png", f"{EVIL}2.png"))
    pair = LabelledPair(names=(EVIL, "b.png"), labels=(classes[0], classes[1]))
    return EtlReport(
        dataset="signs",
        snapshot_id="0123456789abcdef0123",
        samples=104,
        kept=101,
        rejected=3,
        rejections=(RejectedSample(name=EVIL, reason=f"truncated {EVIL}"),),
        stages=(
            StageCount(stage="decode_image", rejected=3),
            StageCount(stage="flag_quality", rejected=0),
        ),
        counts={"train": {classes[0]: 80}, "val": {classes[1]: 9}, "test": {classes[0]: 12}},
        imbalance=10.2,
        flags={"too_dark": 4},
        near_duplicates=NearDuplicates(
            samples=101,
            proposed=7,
            confirmed=6,
            full_buckets=0,
            pairs_left_out=0,
            groups=1,
            samples_in_groups=9,
            largest=(group,),
            over_large=(group.model_copy(update={"size": 77}),),
            cross_label=1,
            cross_label_pairs=(pair,),
        ),
        sides=SideFindings(
            leaks=1,
            leaking_groups=(group.model_copy(update={"sides": ("train", "test")}),),
            bridges=2,
        ),
    )


LINEAGE = Lineage(
    dataset="d",
    snapshot_id="s",
    run_id="r",
    code_version="c0de",
    backbone="tiny",
    backbone_sha256="0" * 64,
    weights_licence="Apache-2.0",
    created_at="now",
)


def make_evaluation(
    pairs: Mapping[tuple[str, str], int], classes: tuple[str, ...], score: float = 0.75
) -> Evaluation:
    """Every answer with the same score."""
    metrics = compute_metrics(pairs, classes)
    right = [true == called for (true, called), count in pairs.items() for _ in range(count)]
    return describe_metrics(metrics, [score] * len(right), right)


def make_case(number: int, label: str, predicted: str, **more: Any) -> BadCase:
    """A bad case whose name is markup."""
    return BadCase(
        sha256=f"{number:064}",
        name=f"{label}/{EVIL}{number}.png",
        label=label,
        predicted=predicted,
        scores=((predicted, 0.75), (label, 0.25)),
        **more,
    )


def make_data(
    classes: tuple[str, ...] = CLASSES, champion: Champion | None = None, wrong: int = 1
) -> ReportData:
    """Nine of each class right, and `wrong` of the first taken for the second."""
    pairs = {(name, name): 9 for name in classes}
    pairs[(classes[0], classes[1])] = wrong
    evaluation, etl = make_evaluation(pairs, classes), make_etl(classes)
    cases = tuple(make_case(number, classes[0], classes[1]) for number in range(wrong))
    return ReportData(
        run_id="20260102T030405-abcdef",
        dataset="signs",
        deployment="signs",
        snapshot_id="0123456789abcdef0123",
        lineage=LINEAGE,
        min_accuracy=0.8,
        summary=summarise(evaluation, cases, etl, 0.8),
        evaluation=evaluation,
        cases=cases,
        champion=champion or Champion(generation=0),
        etl=etl,
    )


def render(data: ReportData, *etl: Picture) -> str:
    """The page, with a picture of each of the first hundred bad cases and these of the data."""
    seen = make_thumbnail(make_picture(0, 0), 320)
    thumbnails = {case.sha256: seen for case in data.cases[:100]}
    return render_report(data, ReportPictures(thumbnails=thumbnails, etl=Pictures(pictures=etl)))
