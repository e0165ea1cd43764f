"""What Airflow makes of the files in dags/, and what loading them costs it."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipelines.form_base import Form
from pipelines.import_request import ImportRequest
from pipelines.predict_request import PredictRequest
from pipelines.publish_request import PublishRequest
from pipelines.request import RunRequest

REPO = Path(__file__).parents[2]
FILES = tuple(
    f"modelmill_{name}.py" for name in ("import", "nightly", "predict", "publish", "train")
)
TASKS = ["plan", "etl", "train", "evaluate", "gate", "ask", "build_image", "deploy"]
HEAVY = {"etl", "train", "evaluate"}
GOOD = (
    "title: Herbs\ncron: '30 2 * * *'\nrequest: {dataset: herbs, min_accuracy: 0.95, max_trials: 3}"
)
BAD = "title: Boards\ncron: every night\nrequest: {dataset: boards}"
AWAKE = "title: Keys\ncron: '0 4 * * 1'\npaused: false\nrequest: {dataset: keys}"
# What a bare DAG does not import: small packages that a form, a preset or the task that asks needs.
LIGHT = {"croniter", "slugify", "yaml", "click", "asgiref"}
OURS = {"pipelines", "serving", "spark_jobs", "training"}
NEVER = {
    *("pyspark", "paddle", "mlflow", "optuna", "pymongo", "bson", "docker", "hdfs", "requests"),
    *("numpy", "pandas", "pyarrow", "onnx", "onnxruntime", "sklearn", "scipy", "torch", "PIL"),
    *("matplotlib", "simplejpeg", "supervisor", "tqdm"),
}
# Names that no file system minds, and that make no DAG's name.
ODD = ("木板", "草药")
LONG = "b" * 240


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Everything, loaded once in a process of its own."""
    folder = tmp_path_factory.mktemp("dags")
    sets = [folder / name for name in ("one", "two", "odd", "long")]
    for presets in sets:
        presets.mkdir()
        (presets / "herbs.yaml").write_text(GOOD)
        (presets / "boards.yaml").write_text(BAD)
    (sets[1] / "keys.yml").write_text(AWAKE)
    for name in ODD:
        (sets[2] / f"{name}.yaml").write_text(GOOD)
    (sets[3] / f"{LONG}.yaml").write_text(GOOD)
    output = folder / "found.json"
    script = Path(__file__).with_name("load_dags.py")
    done = subprocess.run(
        [sys.executable, "-P", str(script), str(REPO / "dags"), str(output), *map(str, sets)],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(REPO),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "MODELMILL_HOME": str(folder / "home"),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(output.read_text())
    return answer


def test_every_file_was_loaded(found: dict[str, Any]) -> None:
    assert sorted(found["imports"]) == sorted(FILES)
    there = {path.name for path in (REPO / "dags").iterdir() if path.suffix == ".py"}
    assert there == {*FILES, "__init__.py"}


@pytest.mark.parametrize("file", FILES)
def test_file_imports_nothing_heavy(found: dict[str, Any], file: str) -> None:
    imports = found["imports"][file]
    assert "airflow" in imports["all"]
    assert NEVER & set(imports["all"]) == set()
    assert set(imports["own"]) - sys.stdlib_module_names - LIGHT - OURS == set()


def test_files_have_no_errors(found: dict[str, Any]) -> None:
    assert found["errors"] == {}


def test_dag_ids_are_the_files_own(found: dict[str, Any]) -> None:
    dags = found["dags"]
    assert set(dags) == {
        "modelmill_import",
        "modelmill_predict",
        "modelmill_publish",
        "modelmill_train",
        "modelmill_nightly__digits",
        "modelmill_nightly__herbs",
        "modelmill_nightly__boards",
    }
    for dag_id, dag in dags.items():
        assert f"{dag_id.partition('__')[0]}.py" == dag["file"]


def test_every_dag_has_a_manual_a_description_and_tags(found: dict[str, Any]) -> None:
    for dag_id, dag in found["dags"].items():
        assert dag["doc"].startswith("### "), dag_id
        assert dag["description"], dag_id
        assert dag["title"] != dag_id
        assert "modelmill" in dag["tags"], dag_id
        assert ("nightly" in dag["tags"]) == dag_id.startswith("modelmill_nightly__")
        assert dag["catchup"] is False, dag_id


@pytest.mark.parametrize("dag_id", ["modelmill_train", "modelmill_nightly__herbs"])
def test_training_is_one_chain_that_may_leave_out_the_question(
    found: dict[str, Any], dag_id: str
) -> None:
    tasks = found["dags"][dag_id]["tasks"]
    assert set(tasks) == set(TASKS)
    after = {name: task["next"] for name, task in tasks.items()}
    chain = {name: [follower] for name, follower in pairwise(TASKS)}
    assert after == {**chain, "deploy": [], "gate": ["ask", "build_image"]}
    assert {name for name, task in tasks.items() if task["pool"] == "heavy"} == HEAVY
    assert all(task["doc"] for task in tasks.values())


@pytest.mark.parametrize("task", ["import", "predict"])
def test_data_work_is_one_heavy_task(found: dict[str, Any], task: str) -> None:
    tasks = found["dags"][f"modelmill_{task}"]["tasks"]
    assert list(tasks) == [task]
    assert (tasks[task]["pool"], bool(tasks[task]["doc"])) == ("heavy", True)


def test_publishing_waits_for_no_heavy_task(found: dict[str, Any]) -> None:
    tasks = found["dags"]["modelmill_publish"]["tasks"]
    assert [(name, task["pool"]) for name, task in tasks.items()] == [("publish", "default_pool")]


@pytest.mark.parametrize(
    ("dag_id", "form", "required"),
    [
        ("modelmill_train", RunRequest, {"dataset"}),
        ("modelmill_import", ImportRequest, {"dataset"}),
        ("modelmill_nightly__herbs", RunRequest, set()),
        ("modelmill_predict", PredictRequest, {"deployment"}),
        ("modelmill_publish", PublishRequest, {"deployment", "action"}),
    ],
)
def test_form_asks_for_what_has_no_default(
    found: dict[str, Any], dag_id: str, form: type[Form], required: set[str]
) -> None:
    params = found["dags"][dag_id]["params"]
    assert list(params) == list(form.model_fields)
    assert {name for name, param in params.items() if not param["has_default"]} == required


def test_form_says_range_and_labels(found: dict[str, Any]) -> None:
    params = found["dags"]["modelmill_train"]["params"]
    assert "**Allowed:** 0 to 1." in params["min_accuracy"]["description_md"]
    minutes = params["budget_minutes"]["description_md"]
    assert "**Allowed:** more than 0 and at most 10,080." in minutes
    assert "**Allowed:** 0 to 10,000." in params["max_trials"]["description_md"]
    assert "a lower-case letter, then" in params["dataset"]["description_md"]
    assert params["devices"]["enum"] == ["auto", "cpu", "gpu"]
    assert set(params["devices"]["values_display"]) == {"auto", "cpu", "gpu"}
    assert all(param["title"] and param["description_md"] for param in params.values())


def test_form_of_a_preset_is_filled_in(found: dict[str, Any]) -> None:
    params = found["dags"]["modelmill_nightly__herbs"]["params"]
    values = {name: param["value"] for name, param in params.items()}
    form = RunRequest(dataset="herbs", min_accuracy=0.95, max_trials=3, on_unsure="keep")
    assert values == form.model_dump(mode="json")


def test_help_of_a_preset_does_not_contradict_it(found: dict[str, Any]) -> None:
    param = found["dags"]["modelmill_nightly__herbs"]["params"]["min_accuracy"]
    assert "**Default:** 0.8" not in param["description_md"]


def test_nightly_is_one_scheduled_dag_per_preset(found: dict[str, Any]) -> None:
    dags = found["dags"]
    herbs, digits = dags["modelmill_nightly__herbs"], dags["modelmill_nightly__digits"]
    assert (herbs["title"], herbs["schedule"], herbs["paused"]) == ("Herbs", "30 2 * * *", True)
    assert (digits["schedule"], digits["paused"]) == ("0 2 * * *", True)
    assert {herbs["runs_at_once"], digits["runs_at_once"]} == {1}
    assert "herbs" in herbs["description"]
    assert dags["modelmill_train"]["schedule"] is None
    assert dags["modelmill_import"]["schedule"] is None


def test_one_more_file_is_one_more_dag(found: dict[str, Any]) -> None:
    before, after = (set(one["dags"]) for one in found["nightly"][:2])
    assert after - before == {"modelmill_nightly__keys"}
    assert before == {f"modelmill_nightly__{name}" for name in ("boards", "digits", "herbs")}


def test_broken_preset_says_so_in_a_dag_of_its_own(found: dict[str, Any]) -> None:
    broken = found["dags"]["modelmill_nightly__boards"]
    assert broken["tags"] == ["broken", "modelmill", "nightly"]
    assert broken["schedule"] is None
    (task,) = broken["tasks"].values()
    for text in (broken["description"], broken["doc"], task["reason"]):
        assert "boards.yaml: cron was 'every night', but allowed is" in text
    others = [dag for dag_id, dag in found["dags"].items() if dag_id != "modelmill_nightly__boards"]
    assert not [dag for dag in others if "broken" in dag["tags"]]


def test_each_broken_preset_has_a_dag_of_its_own(found: dict[str, Any]) -> None:
    before, odd = found["nightly"][0]["dags"], found["nightly"][2]["dags"]
    assert len(odd) == len(before) + len(ODD)


def test_name_that_is_too_long_hides_no_other(found: dict[str, Any]) -> None:
    before, long = found["nightly"][0]["dags"], found["nightly"][3]
    assert long["errors"] == {}
    assert set(before) < set(long["dags"])
