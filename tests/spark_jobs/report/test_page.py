"""The report stands alone, shows any name as text, and needs no scripts or inline styles."""

import re
from html.parser import HTMLParser

import pytest

from serving.bundle.manifest import Lineage
from spark_jobs.metrics.classification import compute_metrics
from spark_jobs.report.page import (
    BadCase,
    ReportData,
    heat_map,
    render_report,
    wilson_interval,
)
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


def many(count: int) -> tuple[str, ...]:
    return (*CLASSES, EVIL, *(f"class {i}" for i in range(60)))[:count]


@pytest.mark.parametrize("count", [2, 4, 10, 50])
def test_stands_alone(count: int) -> None:
    text = render_report(make_data(many(count)))
    page = Page(text)
    assert page.tags.count("style") == 1
    assert page.tags.count("td") >= count * count
    assert not {"script", "link", "iframe", "object", "form", "b onerror"} & set(page.tags)
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    links = [value or "" for name, value in page.attributes if name in ("src", "href")]
    assert links
    assert all(value.startswith("data:image/jpeg;base64,") for value in links)
    assert not re.search(r"url\(|@import|https?://", text)


def test_names_are_text() -> None:
    page = Page(render_report(make_data(many(4))))
    for name in (*CLASSES, EVIL):
        assert name in page.text
    assert "img" in page.tags
    assert ("onerror", "alert(1)") not in page.attributes


@pytest.mark.parametrize(
    ("champion", "told"),
    [
        (Champion(generation=0), "no champion to compare with"),
        (Champion(generation=2, version=1), "could not be read"),
        (Champion(generation=2, version=7, accuracy=0.5, macro_f1=0.25), "Version 7, in service"),
    ],
)
def test_champion(champion: Champion, told: str) -> None:
    assert told in Page(render_report(make_data(champion=champion))).text


def test_numbers_and_lineage() -> None:
    text = Page(render_report(make_data())).text
    for told in ("96.4\xa0%", "20260102T030405-abcdef", "0123456789abcdef0123", "tiny", "c0de"):
        assert told in text
    assert "None: every test picture" in Page(render_report(make_data(wrong=0))).text


def test_heat_map_shows_every_count() -> None:
    ((right, wrong), empty) = heat_map(("a", "b"), ((999, 1), (0, 0)))
    assert (right.heat, wrong.heat) == (10, 1)
    assert [cell.heat for cell in empty] == [0, 0]


def test_thumbnails() -> None:
    assert make_thumbnail(b"no picture", 96) == ""
    assert make_thumbnail(make_picture(0, 0), 96).startswith("data:image/jpeg;base64,")


def test_interval() -> None:
    # statsmodels.stats.proportion.proportion_confint(145, 153, method="wilson")
    low, high = wilson_interval(145, 153)
    assert (round(low, 3), round(high, 3)) == (0.9, 0.973)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_tells_what_it_learned_from() -> None:
    text = " ".join(Page(render_report(make_data())).text.split())
    for told in (
        "101 of 104 samples were used; 3 were left out.",
        "10.2 times the pictures of the smallest",
        "4 too dark",
        "9 samples in 1 group",
        f"{EVIL}1.png, {EVIL}2.png and 7 more",
        "1 pair: one label is wrong",
        "not used: 77 pictures",
        "1 group on two sides",
        "train and test",
        "Left out by decode_image",
        f"truncated {EVIL}",
    ):
        assert told in text
    assert "flag_quality" not in text
    # Not where a leak says otherwise.
    assert "each kept on one side" not in text


def test_stages_that_did_not_run_are_not_told() -> None:
    data = make_data()
    silent = {"near_duplicates": None, "sides": None, "flags": None}
    bare = data.model_copy(update={"etl": data.etl.model_copy(update=silent)})
    text = Page(render_report(bare)).text
    for absent in ("Near-duplicates", "Leaks", "Looks odd", "None"):
        assert absent not in text
