"""./modelmill prune: a folder as HDFS, a real database, and an Airflow that tells what goes on."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.artifacts import Artifacts, make_run_id
from pipelines.plan import make_plan
from pipelines.request import RunRequest
from serving.job import store
from tests.pipelines.airflow_server import Row, make_row
from tests.pipelines.conftest import Done, Run
from tests.pipelines.literals import CARDS, CUTOFF, ETL, IMAGE


def write_run(
    artifacts: Artifacts, run_id: str, dataset: str, *, version: int, features: str
) -> None:
    """What a finished run leaves, as far as pruning reads it."""
    plan = make_plan(
        RunRequest(dataset=dataset),
        run_id=run_id,
        cutoff=CUTOFF,
        actor="me",
        code_version="1",
        artifacts=artifacts,
        cards=CARDS,
    )
    store.write_model(artifacts.plan(run_id), plan)
    cache = ETL.features[0].model_copy(update={"features_uri": f"{artifacts.features}/{features}"})
    etl = ETL.model_copy(update={"features": (cache,)})
    image = IMAGE.model_copy(update={"version": version})
    for task, outcome in (("etl", etl), ("build_image", image)):
        folder = artifacts.task(run_id, task)
        store.write_bytes(f"{folder}/committed", b"1")
        store.write_model(f"{folder}/attempt-1/outcome.json", outcome)
    store.write_bytes(f"{artifacts.features}/{features}/x.parquet", b"12345")


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_DOCKER_HOST", "none")


@pytest.fixture
def world(home: Path, tmp_path: Path, dataset: str, database: Any, airflow: list[Row]) -> Artifacts:
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


def test_prune_shows_first_and_removes_then(run: Run, home: Path, world: Artifacts) -> None:
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


def list_names(done: Done, kind: str) -> list[str]:
    """Names of what would go, of one kind."""
    items = json.loads(done.out)["items"]
    return [item["location"].rsplit("/", 1)[-1] for item in items if item["kind"] == kind]


def run_id_of(row: Row) -> str:
    at = datetime.fromisoformat(row["run_after"])
    return make_run_id(row["dag_id"], row["dag_run_id"], at)


@pytest.mark.parametrize("state", ["running", "queued"])
def test_an_old_run_that_was_cleared_stays(
    *, run: Run, home: Path, world: Artifacts, dataset: str, airflow: list[Row], state: str
) -> None:
    row = make_row(at="2025-12-01T00:00:00Z", state=state)
    write_run(world, run_id_of(row), dataset, version=0, features="key0")
    (home / "scratch" / run_id_of(row)).mkdir()
    os.utime(home / "scratch" / run_id_of(row), (0, 0))
    gone = [run_id_of(row), "20260103T000000-000003"]
    before = run("prune", "--keep", "2", "--dry-run", "--json")
    for kind in ("run", "scratch"):
        assert list_names(before, kind) == gone
    airflow.append(row)
    after = run("prune", "--keep", "2", "--dry-run", "--json")
    for kind in ("run", "scratch"):
        assert list_names(after, kind) == gone[1:]
    assert list_names(after, "features") == ["key3"]


def test_all_pages_of_what_goes_on_are_read(
    run: Run, world: Artifacts, dataset: str, airflow: list[Row]
) -> None:
    airflow += [
        make_row(at=f"2025-{month:02}-{day:02}T00:00:00Z")
        for month in range(1, 13)
        for day in range(1, 28)
    ]
    write_run(world, run_id_of(airflow[-1]), dataset, version=0, features="key0")
    assert list_names(run("prune", "--keep", "2", "--dry-run", "--json"), "run") == [
        "20260103T000000-000003"
    ]


def test_without_airflow_no_run_is_removed(
    run: Run, world: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_bytes(f"{world.root}/prepared/x/outcome.json", b"{}")
    os.utime(store.open_store(f"{world.root}/prepared/x")[1], (0, 0))
    monkeypatch.setenv("MODELMILL_PORT_AIRFLOW", "1")
    done = run("prune", "--keep", "1", "--yes", "--json")
    answer = json.loads(done.out)
    assert {item["kind"] for item in answer["items"]} == {"prepared"}
    (failure,) = answer["failures"]
    assert "Airflow does not answer" in failure["reason"]
    assert done.code == 1
    assert len(store.list_names(f"{world.root}/runs")) == 5
    shown = run("prune", "--keep", "1", "--yes")
    assert "not removed" in shown.out
    assert "Start it: ./modelmill up" in shown.out


def test_caches_do_not_wait_for_runs_that_failed(run: Run, world: Artifacts) -> None:
    store.write_bytes(f"{world.run('20260106T000000-000006')}/log", b"it never had a plan")
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-00000a"
    store.write_bytes(f"{world.run(now)}/log", b"nor had it")
    done = run("prune", "--keep", "1", "--dry-run", "--json")
    assert list_names(done, "features") == ["key3", "key4"]


@pytest.mark.parametrize("dag_id", ["modelmill_import", "modelmill_train", "modelmill_nightly__x"])
def test_caches_wait_for_training_runs_that_go_on_but_not_for_imports(
    run: Run, world: Artifacts, airflow: list[Row], dag_id: str
) -> None:
    airflow.append(make_row(dag_id, at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))
    store.write_bytes(f"{world.run(run_id_of(airflow[0]))}/import/attempt-1/_token", b"1")
    done = run("prune", "--keep", "1", "--dry-run", "--json")
    found = list_names(done, "features")
    if dag_id == "modelmill_import":
        assert found == ["key3", "key4"]
    else:
        assert found == []
        assert run_id_of(airflow[0]) in json.loads(done.out)["notes"][0]


def test_caches_stay_while_a_run_may_fill_one(run: Run, world: Artifacts) -> None:
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-00000a"
    store.write_bytes(f"{world.run(now)}/plan.json", b'{"of": "another version"}')
    done = run("prune", "--keep", "1", "--dry-run", "--json")
    answer = json.loads(done.out)
    assert {item["kind"] for item in answer["items"]} == {"run", "scratch"}
    assert now in answer["notes"][0]
    assert answer["removed"] is False
    assert len(store.list_names(f"{world.root}/runs")) == 6


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    run: Run, world: Artifacts, tmp_path: Path
) -> None:
    # Somebody's disk was full: this run lies elsewhere, and a link to a folder is no folder.
    folder = Path(store.open_store(world.run("20260103T000000-000003"))[1])
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    done = run("prune", "--keep", "2", "--yes", "--json")
    answer = json.loads(done.out)
    assert done.code == 1
    assert [one["location"] for one in answer["failures"]] == [folder.as_uri()]
    assert {item["kind"] for item in answer["items"]} == {"run", "features", "scratch"}
    assert "key3" not in store.list_names(world.features)
    shown = run("prune", "--keep", "2", "--yes")
    assert (shown.code, f"not removed: {folder.as_uri()}: " in shown.out) == (1, True)


LEFT = {
    "partial": (
        "raw/boards/x.parquet.part",
        *(f"{root}/.tmp/x" for root in ("snapshots", "features", "facts", "pairs")),
    ),
    "prepared": ("prepared/x",),
}


@pytest.mark.parametrize("age", ["old", "young"])
def test_what_killed_jobs_left_goes_after_a_day(run: Run, world: Artifacts, age: str) -> None:
    for names in LEFT.values():
        for name in names:
            path = Path(store.open_store(f"{world.root}/{name}")[1])
            file = path if path.suffix else path / "file"
            store.write_bytes(file.as_uri(), b"123")
            if age == "old":
                os.utime(path, (0, 0))
    store.write_bytes(f"{world.root}/raw/boards/x.parquet", b"123")
    os.utime(store.open_store(f"{world.root}/raw/boards/x.parquet")[1], (0, 0))
    report = f"{world.root}/imports/x/import_report.json"
    store.write_bytes(report, b"{}")
    os.utime(store.open_store(f"{world.root}/imports/x")[1], (0, 0))
    done = run("prune", "--keep", "5", "--yes", "--json")
    assert done.code == 0, done.err
    assert store.exists(report)
    found = {
        item["location"].removeprefix(f"{world.root}/") for item in json.loads(done.out)["items"]
    }
    assert found == ({name for names in LEFT.values() for name in names} if age == "old" else set())
    assert store.list_names(f"{world.root}/raw/boards")[0] == "x.parquet"
    left = sum(store.exists(f"{world.root}/{name}") for names in LEFT.values() for name in names)
    assert left == (0 if age == "old" else sum(map(len, LEFT.values())))


def test_temporary_folders_stay_while_a_run_goes_on(
    run: Run, world: Artifacts, airflow: list[Row]
) -> None:
    airflow.append(make_row())
    store.write_bytes(f"{world.features}/.tmp/x/file", b"123")
    os.utime(store.open_store(f"{world.features}/.tmp/x")[1], (0, 0))
    assert not list_names(run("prune", "--dry-run", "--json"), "partial")
