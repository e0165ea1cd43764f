"""The report's section on the data: findings with pictures, any name as text, old reports too."""

import json

import pytest

from serving.bundle.manifest import SEVERAL
from spark_jobs.report.page import LONGEST_NAME, shorten
from spark_jobs.report.thumbnails import make_thumbnail
from spark_jobs.report_models import EtlReport, Picture, RejectedSample
from tests.spark_jobs.report.pages import EVIL, Page, make_data, make_etl, render
from tests.spark_jobs.tiny import CLASSES, make_picture


def test_tells_what_it_learned_from() -> None:
    text = " ".join(Page(render(make_data())).text.split())
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


def test_several_labels_are_told_as_such() -> None:
    one, other = CLASSES[0], CLASSES[1]
    etl = make_etl((f"{one}|{other}", other))
    text = " ".join(Page(render(make_data().model_copy(update={"etl": etl}))).text.split())
    assert "counts under each" not in text
    assert f"{one}|{other}" in text
    several = etl.model_copy(update={"task": SEVERAL})
    text = " ".join(Page(render(make_data().model_copy(update={"etl": several}))).text.split())
    for told in (
        "A picture with several labels counts under each of them.",
        "1 pair: one of the two may lack a label, or have one too many.",
        f"({one} + {other})",
        f"9 pictures of {one} + {other}, on train and test",
    ):
        assert told in text


def show(etl: EtlReport, *hashes: str) -> Page:
    """The page where these samples have pictures, the first one none that can be seen."""
    seen = make_thumbnail(make_picture(1, 1), 96)
    made = tuple(
        Picture(sha256=sha, side="val", thumbnail=seen if i else "") for i, sha in enumerate(hashes)
    )
    data = make_data(wrong=0).model_copy(update={"etl": etl})
    return Page(render(data, *made))


def with_hashes(etl: EtlReport) -> EtlReport:
    """The very findings of make_etl, as they are noted today."""
    near, sides = etl.near_duplicates, etl.sides
    assert near is not None
    assert sides is not None
    (pair,), (group,), (leak,) = near.cross_label_pairs, near.largest, sides.leaking_groups
    pair = pair.model_copy(update={"hashes": ("pair1", "pair2")})
    group = group.model_copy(update={"hashes": ("group1", "group2")})
    leak = leak.model_copy(update={"hashes": ("leak1", "leak2")})
    near = near.model_copy(
        update={"cross_label_pairs": (pair,), "largest": (group,), "over_large": ()}
    )
    return etl.model_copy(
        update={
            "near_duplicates": near,
            "sides": sides.model_copy(update={"leaking_groups": (leak,)}),
            "rejections": (RejectedSample(name=EVIL, reason=f"odd {EVIL}", sha256="gone"),),
            "seconds": {"compute_features": 12.34, "flag_quality": 0.01, "pictures": 0.5},
        }
    )


def test_shows_pictures_and_where_there_is_none() -> None:
    etl = with_hashes(make_etl(CLASSES))
    hashes = [f"{kind}{i}" for kind in ("pair", "leak", "group") for i in (1, 2)]
    page = show(etl, "gone", *hashes)
    assert page.tags.count("img") == 6
    assert page.text.count("no picture") == 1
    text = " ".join(page.text.split())
    for told in (
        f"odd {EVIL}",
        f"{CLASSES[0]} {EVIL}",
        f"9 pictures of {CLASSES[0]}, on train and test val {EVIL}1.png val {EVIL}2.png and 7 more",
        "compute features 12.3 s",
        "pictures 0.5 s",
    ):
        assert told in text
    assert "flag quality" not in text
    names = {name for name, _ in page.attributes}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    assert {value for name, value in page.attributes if name == "alt"} >= {EVIL, f"{EVIL}1.png"}
    # What lies beyond the largest number of pictures is told by its number.
    cut = show(etl, "gone", *hashes[:-1])
    assert cut.tags.count("img") == 5
    assert "and 8 more" in cut.text


def test_a_report_from_before_there_were_pictures_is_shown() -> None:
    fresh = make_etl(CLASSES).model_dump(exclude={"seconds", "pictures_uri"})
    for group in (*fresh["near_duplicates"]["largest"], *fresh["near_duplicates"]["over_large"]):
        del group["hashes"]
    for one in (*fresh["near_duplicates"]["cross_label_pairs"], *fresh["sides"]["leaking_groups"]):
        del one["hashes"]
    for rejection in fresh["rejections"]:
        del rejection["sha256"]
    etl = EtlReport.model_validate_json(json.dumps(fresh))
    page = show(etl)
    assert "img" not in page.tags
    assert "no picture" not in page.text
    assert f"{EVIL}1.png, {EVIL}2.png and 7 more" in page.text
    assert "Time spent" not in page.text


def test_long_names_lose_their_middle() -> None:
    assert shorten("键盘" * 24) == "键盘" * 24
    short = shorten("a" * 100 + "b" * 100 + ".jpg")
    assert len(short) == LONGEST_NAME
    assert (short[:3], short[-5:]) == ("aaa", "b.jpg")


@pytest.mark.parametrize("count", [2, 10, 60, 1000])
def test_the_histogram_stays_short(count: int) -> None:
    counts = {f"{EVIL}{i:03}": i + 1 for i in range(count)}
    etl = make_etl(CLASSES).model_copy(update={"counts": {"train": counts, "test": counts}})
    page = show(etl)
    assert page.tags.count("rect") - page.tags.count("tr") < 60
    assert (f"{count - 24} more classes, of 26 to" in " ".join(page.text.split())) == (count > 40)
    assert page.tags.count("polygon") == (count > 40)


def test_stages_that_did_not_run_are_not_told() -> None:
    data = make_data()
    silent = {"near_duplicates": None, "sides": None, "flags": None}
    bare = data.model_copy(update={"etl": data.etl.model_copy(update=silent)})
    text = Page(render(bare)).text
    for absent in ("Near-duplicates", "Leaks", "Looks odd", "None found"):
        assert absent not in text
