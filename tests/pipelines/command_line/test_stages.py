"""./modelmill stages, stage new and stage try, through real jobs."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from serving.job import store
from tests.pipelines.conftest import Run, make_png
from tests.pipelines.literals import CARDS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a blank; it is made by the first new stage."""
    folder = tmp_path / "my stages"
    folder.mkdir()
    monkeypatch.setenv("MODELMILL_STAGES", str(folder))
    return folder


def test_new_stage_passes_its_test_and_is_listed(run: Run, folder: Path) -> None:
    done = run("stage", "new", "reject_blurred", "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert sorted(path.name for path in folder.iterdir()) == [
        "reject_blurred.py",
        "test_reject_blurred.py",
    ]
    tested = subprocess.run(
        shlex.split(answer["command"]), capture_output=True, text=True, check=False
    )
    assert tested.returncode == 0, tested.stderr
    assert "Ran 1 test" in tested.stderr
    listed = json.loads(run("stages", "--json").out)["stages"]
    mine = {one["name"]: one for one in listed}["reject_blurred"]
    assert mine["params"][0]["name"] == "min_bytes"
    assert "test_reject_blurred" not in {one["name"] for one in listed}
    shown = run("stages").out
    assert "val: float (> 0, < 0.5) = 0.15" in shown
    assert str(folder / "reject_blurred.py") in shown


def test_nothing_is_overwritten(run: Run, folder: Path) -> None:
    (folder / "test_reject_blurred.py").write_text("mine")
    done = run("stage", "new", "reject_blurred")
    assert (done.code, "is there already" in done.err) == (1, True)
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "name", ["Blur", "a-b", "class", "../x", "test_it", "json", "flag_quality", ""]
)
def test_names_that_cannot_be(run: Run, folder: Path, name: str) -> None:
    done = run("stage", "new", name)
    assert (done.code, "NAME was" in done.err) == (1, True)
    assert not list(folder.iterdir())


def test_without_a_folder(run: Run, tmp_path: Path) -> None:
    assert "set MODELMILL_STAGES" in run("stage", "new", "reject_it").err
    assert run("stage", "new", "reject_it", "--dir", str(tmp_path / "new")).code == 0
    assert (tmp_path / "new" / "reject_it.py").exists()


def test_params_are_an_object(run: Run) -> None:
    done = run("stage", "try", "decode_image", "--dataset", "x", "--params", "3")
    assert (done.code, "a JSON object" in done.err) == (2, True)


def import_wide_pictures(run: Run, dataset: str, tmp_path: Path) -> None:
    for number, name in enumerate(("a/1.png", "a/2.png", "b/3.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_png(40 * number, width=16))
    # Neither decoding nor the stage looks into the network.
    for card in CARDS:
        exported = tmp_path / "hdfs" / "modelmill" / "backbones" / card.file.name
        store.write_model((exported / "outcome.json").as_uri(), card)
    assert run("import", str(tmp_path / "photos"), "--dataset", dataset).code == 0


CORNER = """
from pyspark.sql import functions as F

def run(samples, params):
    return samples.withColumn("corner", F.hex(F.substring("pixels", 1, 3)))
"""


def test_pictures_are_fitted_as_asked(run: Run, folder: Path, dataset: str, tmp_path: Path) -> None:
    """As in a run: a stage may look at the pixels that the network will see."""
    import_wide_pictures(run, dataset, tmp_path)
    (folder / "show_corner.py").write_text(CORNER)
    tried = ("stage", "try", "show_corner", "--dataset", dataset, "--json")
    found = {}
    for resize in ("", "letterbox"):
        done = run(*tried, *(("--resize", resize) if resize else ()))
        assert done.code == 0, done.err
        (corner,) = json.loads(done.out)["changed"]
        found[resize] = sorted(example["after"] for example in corner["examples"])
    assert found == {"": ["000000", "282828", "505050"], "letterbox": ["7F7F7F"] * 3}
    assert run(*tried, "--resize", "stretch").code == 2


def test_a_new_stage_is_tried_on_real_samples(
    run: Run, folder: Path, dataset: str, tmp_path: Path
) -> None:
    import_wide_pictures(run, dataset, tmp_path)
    assert run("stage", "new", "reject_faint").code == 0
    tried = ("stage", "try", "reject_faint", "--dataset", dataset)
    done = run(*tried, "--limit", "2", "--params", '{"min_bytes": 9999}', "--json")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert (answer["rows"], len(answer["rejected"])) == (2, 2)
    assert answer["rejected"][0]["reason"] == "smaller than 9999 bytes"
    done = run(*tried, "--params", '{"min_byte": 1}')
    assert done.code == 1
    assert "Did you mean 'min_bytes'" in done.err.splitlines()[-1]
    assert "WARN" not in done.err
