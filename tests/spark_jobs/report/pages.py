"""Pages to look at: every kind of finding, with names that are markup."""

from html.parser import HTMLParser

from serving.bundle.manifest import Lineage
from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.report.page import BadCase, ReportData
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import (
    EtlReport,
    LabelledPair,
    NearDuplicates,
    RejectedSample,
    SampleGroup,
    SideFindings,
)
from spark_jobs.spec import Champion, StageCount
from tests.spark_jobs.tiny import CLASSES, make_picture

EVIL = "<img src=x onerror=alert(1)>\"'"


class Page(HTMLParser):
    """Tags, attributes and text as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


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


def make_data(
    classes: tuple[str, ...] = CLASSES, champion: Champion | None = None, wrong: int = 1
) -> ReportData:
    pairs = {(name, name): 9 for name in classes}
    pairs[(classes[0], classes[1])] = wrong
    metrics = compute_metrics(pairs, classes)
    lineage = Lineage(
        dataset="d",
        snapshot_id="s",
        run_id="r",
        code_version="c0de",
        backbone="tiny",
        backbone_sha256="0" * 64,
        weights_licence="Apache-2.0",
        created_at="now",
    )
    case = BadCase(
        name=f"{classes[0]}/{EVIL}.png",
        label=classes[0],
        predicted=classes[1],
        score=0.75,
        thumbnail=make_thumbnail(make_picture(0, 0), 320),
    )
    return ReportData(
        run_id="20260102T030405-abcdef",
        dataset="signs",
        deployment="signs",
        snapshot_id="0123456789abcdef0123",
        lineage=lineage,
        min_accuracy=0.8,
        accuracy=metrics.accuracy,
        macro_f1=metrics.macro_f1,
        test_samples=metrics.samples,
        classes=metrics.classes,
        per_class=metrics.per_class,
        confusion=metrics.confusion,
        wrong=metrics.wrong,
        bad_cases=(case,) if wrong else (),
        champion=champion or Champion(generation=0),
        etl=make_etl(classes),
    )
