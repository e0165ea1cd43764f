"""What goes, and above all what stays."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipelines.images import ModelImage
from pipelines.pruning import KnownRun, Needs, choose_kept_runs, choose_old_images, read_need

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def make_id(days_ago: int, number: int = 0) -> str:
    return f"{NOW - timedelta(days=days_ago):%Y%m%dT%H%M%S}-{number:06x}"


RUNS = st.lists(
    st.builds(
        KnownRun,
        run_id=st.builds(make_id, st.integers(0, 99), st.integers(0, 3)),
        deployment=st.sampled_from(["", "boards", "herbs"]),
        version=st.none() | st.integers(1, 5),
        readable=st.booleans(),
    ),
    unique_by=lambda run: run.run_id,
    max_size=12,
)
NEEDS = st.lists(
    st.builds(
        Needs,
        deployment=st.sampled_from(["boards", "herbs"]),
        versions=st.frozensets(st.integers(1, 5), max_size=2),
        run_ids=st.frozensets(st.builds(make_id, st.integers(0, 99)), max_size=2),
    ),
    max_size=3,
)


@given(RUNS, NEEDS, st.frozensets(st.builds(make_id, st.integers(0, 99))), st.integers(1, 4))
def test_what_is_needed_or_going_on_stays(
    runs: list[KnownRun], needs: list[Needs], going: frozenset[str], keep: int
) -> None:
    kept = choose_kept_runs(runs, needs, going, keep=keep, now=NOW)
    assert going <= kept
    gone = {run.run_id for run in runs} - kept
    for run in runs:
        if run.run_id in gone:
            assert run.readable
            assert NOW - run.at >= timedelta(days=1)
            newer = [r for r in runs if r.deployment == run.deployment and r.run_id > run.run_id]
            assert len(newer) >= keep
            for need in needs:
                assert run.run_id not in need.run_ids
                assert (run.deployment, run.version) not in [
                    (need.deployment, version) for version in need.versions
                ]


def test_old_runs_go() -> None:
    runs = [KnownRun(run_id=make_id(days), deployment="boards") for days in (5, 4, 3)]
    assert choose_kept_runs(runs, [], [], keep=2, now=NOW) == {make_id(4), make_id(3)}


def test_old_images_go_by_version_not_by_name() -> None:
    images = [
        ModelImage(tag=f"modelmill/boards:{v}", deployment="boards", version=v, size_bytes=1)
        for v in (1, 2, 3, 9, 10)
    ]
    needs = [Needs(deployment="boards", versions=frozenset({2}), run_ids=frozenset())]
    assert [one.version for one in choose_old_images(images, needs, keep=2)] == [1, 3]


def test_a_run_whose_model_a_kept_run_took_over_stays() -> None:
    old, other, new = make_id(30), make_id(20), make_id(10)
    runs = [KnownRun(run_id=old), KnownRun(run_id=other), KnownRun(run_id=new, reuses=old)]
    assert choose_kept_runs(runs, [], [], keep=1, now=NOW) == {old, new}


def test_the_version_that_a_rollback_goes_back_to_is_needed() -> None:
    uri = "hdfs://h/modelmill/runs/{}/train/1/bundle"
    ids = [make_id(days) for days in (3, 2, 1)]
    past = [
        {"version": number, "image_tag": "", "bundle_uri": uri.format(run_id)}
        for number, run_id in zip((4, 6), ids[:2], strict=True)
    ]
    need = read_need(
        {
            "_id": "boards",
            "version": 7,
            "replaced_version": 8,
            "bundle_uri": uri.format(ids[2]),
            "history": past,
        }
    )
    assert need.versions == {7, 8, 6}
    assert need.run_ids == {*ids[1:]}
    images = [
        ModelImage(tag=f"modelmill/boards:{n}", deployment="boards", version=n, size_bytes=1)
        for n in range(1, 13)
    ]
    old = choose_old_images(images, [need], keep=2)
    assert [image.version for image in old] == [1, 2, 3, 4, 5, 9, 10]
    before = read_need({"_id": "boards", "version": 7, "replaced_version": 6})
    assert before.versions == {6, 7}


def test_versions_that_are_tried_or_held_to_are_needed() -> None:
    tried, held = make_id(9), make_id(8)
    need = read_need(
        {
            "_id": "boards",
            "version": 7,
            "canary": {"version": 9, "bundle_uri": f"hdfs://x/runs/{tried}/train/bundle"},
            "reference": {"version": 3, "bundle_uri": f"hdfs://x/runs/{held}/train/bundle"},
        }
    )
    assert need.versions == {3, 7, 9}
    assert need.run_ids == {tried, held}
