"""What goes, and above all what stays."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.artifacts import Artifacts
from pipelines.images import ModelImage
from pipelines.plan import make_plan
from pipelines.pruning import KnownRun, Needs, choose_kept_runs, choose_old_images
from pipelines.request import RunRequest
from serving.job import store
from serving.spec import BuildImageOutcome
from spark_jobs.spec import EtlOutcome
from tests.pipelines.conftest import Run
from training.spec import ExportBackboneOutcome

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


@given(RUNS, NEEDS, st.integers(1, 4))
def test_what_a_deployment_needs_stays(runs: list[KnownRun], needs: list[Needs], keep: int) -> None:
    gone = {run.run_id for run in runs} - choose_kept_runs(runs, needs, keep=keep, now=NOW)
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
    assert choose_kept_runs(runs, [], keep=2, now=NOW) == {make_id(4), make_id(3)}


def test_old_images_go_by_version_not_by_name() -> None:
    images = [
        ModelImage(tag=f"modelmill/boards:{v}", deployment="boards", version=v, size_bytes=1)
        for v in (1, 2, 3, 9, 10)
    ]
    needs = [Needs(deployment="boards", versions=frozenset({2}), run_ids=frozenset())]
    assert [one.version for one in choose_old_images(images, needs, keep=2)] == [1, 3]


def write_run(
    artifacts: Artifacts, run_id: str, dataset: str, *, version: int, features: str
) -> None:
    """What a finished run leaves, as far as pruning reads it."""
    backbone = ExportBackboneOutcome(
        backbone="b",
        onnx_uri="file:///b",
        sha256="0" * 64,
        licence="x",
        parameters=1,
        features=1,
        size=32,
    )
    plan = make_plan(
        RunRequest(dataset=dataset),
        run_id=run_id,
        cutoff=NOW,
        actor="me",
        code_version="1",
        artifacts=artifacts,
        backbone=backbone,
    )
    store.write_model(artifacts.plan(run_id), plan)
    etl = EtlOutcome(
        snapshot_id="0" * 20,
        labels_uri="x",
        features_uri=f"{artifacts.features}/{features}",
        rejected_uri="x",
        report_uri="x",
        classes=(),
        counts={},
        rejected=0,
        stages=(),
        features_made=0,
        features_reused=0,
    )
    image = BuildImageOutcome(version=version, image_tag="", image_id="", base="", size_bytes=0)
    for task, outcome in (("etl", etl), ("build_image", image)):
        folder = artifacts.task(run_id, task)
        store.write_bytes(f"{folder}/committed", b"1")
        store.write_model(f"{folder}/attempt-1/outcome.json", outcome)
    store.write_bytes(f"{artifacts.features}/{features}/x.parquet", b"12345")


@pytest.fixture
def world(home: Path, tmp_path: Path, dataset: str, database: Any) -> Artifacts:
    """Five old runs; version 2 serves, version 1 did before; the last two are the newest."""
    artifacts = Artifacts(hdfs=(tmp_path / "hdfs").as_uri(), scratch=(home / "scratch").as_uri())
    for version in range(1, 6):
        run_id = f"2026010{version}T000000-00000{version}"
        write_run(artifacts, run_id, dataset, version=version, features=f"key{version}")
        (home / "scratch" / run_id / "train").mkdir(parents=True)
        os.utime(home / "scratch" / run_id, (0, 0))
    database["deployments"].insert_one(
        {
            "_id": dataset,
            "version": 2,
            "replaced_version": 1,
            "bundle_uri": f"{artifacts.run('20260102T000000-000002')}/train/attempt-1/bundle",
            "generation": 2,
        }
    )
    return artifacts


def test_prune_shows_first_and_removes_then(
    run: Run, home: Path, world: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    shown = run("prune", "--keep", "2")
    assert shown.code == 1
    assert "run: 1, " in shown.err
    assert "20260103T000000-000003" in shown.err
    assert "add --yes" in shown.err
    assert len(store.list_names(f"{world.root}/runs")) == 5
    done = run("prune", "--keep", "2", "--yes", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["removed"] is True
    assert {item["kind"]: item["location"].rsplit("/", 1)[-1] for item in answer["items"]} == {
        "run": "20260103T000000-000003",
        "features": "key3",
        "scratch": "20260103T000000-000003",
    }
    assert [name[:8] for name in store.list_names(f"{world.root}/runs")] == [
        f"2026010{version}" for version in (1, 2, 4, 5)
    ]
    assert "key3" not in store.list_names(world.features)
    assert len(list((home / "scratch").iterdir())) == 4
    again = run("prune", "--keep", "2", "--yes")
    assert (again.code, "Nothing to remove" in again.err) == (0, True)


def test_caches_do_not_wait_for_runs_that_failed_long_ago(
    run: Run, world: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    store.write_bytes(f"{world.run('20260106T000000-000006')}/log", b"it never had a plan")
    answer = json.loads(run("prune", "--keep", "1", "--dry-run", "--json").out)
    caches = [item["location"] for item in answer["items"] if item["kind"] == "features"]
    assert [uri.rsplit("/", 1)[-1] for uri in caches] == ["key3", "key4"]


def test_caches_stay_while_a_run_may_fill_one(
    run: Run, world: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-00000a"
    store.write_bytes(f"{world.run(now)}/plan.json", b'{"of": "another version"}')
    done = run("prune", "--keep", "1", "--dry-run", "--json")
    answer = json.loads(done.out)
    assert {item["kind"] for item in answer["items"]} == {"run", "scratch"}
    assert now in answer["notes"][0]
    assert answer["removed"] is False
    assert len(store.list_names(f"{world.root}/runs")) == 6
