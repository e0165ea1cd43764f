"""What is shown: the page's order, each picture once, never too many."""

from spark_jobs.report.strips import (
    MOST_PICTURES,
    SHOWN_GROUPS,
    SHOWN_MEMBERS,
    choose_shown,
    list_hashes,
)
from spark_jobs.report_models import (
    EtlReport,
    LabelledPair,
    NearDuplicates,
    RejectedSample,
    SampleGroup,
    SideFindings,
)


def make_groups(kind: str, count: int, size: int = 20) -> tuple[SampleGroup, ...]:
    names = [[f"{kind}{i}-{j}" for j in range(size)] for i in range(count)]
    return tuple(
        SampleGroup(size=size, labels=("a",), names=tuple(n), hashes=tuple(n)) for n in names
    )


def make_report(each: int) -> EtlReport:
    """`each` findings of every kind, all of different samples."""
    pairs = tuple(
        LabelledPair(names=("p", "q"), labels=("a", "b"), hashes=(f"p{i}", f"q{i}"))
        for i in range(each)
    )
    return EtlReport(
        dataset="d",
        snapshot_id="s",
        samples=1,
        kept=1,
        rejected=each,
        rejections=tuple(
            RejectedSample(name="r", reason="why", sha256=f"r{i}") for i in range(each)
        ),
        stages=(),
        counts={},
        imbalance=1,
        flags=None,
        near_duplicates=NearDuplicates(
            samples=1,
            proposed=1,
            confirmed=1,
            full_buckets=0,
            pairs_left_out=0,
            groups=each,
            samples_in_groups=1,
            largest=make_groups("copy", each),
            over_large=make_groups("scene", each),
            cross_label=each,
            cross_label_pairs=pairs,
        ),
        sides=SideFindings(leaks=each, leaking_groups=make_groups("leak", each), bridges=0),
    )


def test_the_order_is_the_pages() -> None:
    hashes = list_hashes(choose_shown(make_report(1)))
    assert [sha[:2] for sha in hashes] == [
        *("p0", "q0"),
        *["le"] * SHOWN_MEMBERS,
        "r0",
        *["co"] * SHOWN_MEMBERS,
        *["sc"] * SHOWN_MEMBERS,
    ]


def test_there_are_never_too_many() -> None:
    report = make_report(100)
    shown = choose_shown(report)
    assert len(shown.leaks) == len(shown.copies) == SHOWN_GROUPS
    hashes = list_hashes(shown)
    assert len(set(hashes)) == len(hashes) == MOST_PICTURES
    assert hashes[0] == "p0"


def test_a_sample_in_two_findings_has_one_picture() -> None:
    report = make_report(1)
    near = report.near_duplicates
    assert near is not None
    assert report.sides is not None
    twice = near.model_copy(update={"largest": report.sides.leaking_groups})
    again = report.model_copy(update={"near_duplicates": twice})
    assert len(list_hashes(choose_shown(again))) == 3 + 2 * SHOWN_MEMBERS


def test_nothing_found_needs_no_picture() -> None:
    silent = {"near_duplicates": None, "sides": None, "rejections": ()}
    assert list_hashes(choose_shown(make_report(1).model_copy(update=silent))) == []
