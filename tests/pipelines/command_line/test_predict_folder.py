"""./modelmill predict --out: a real job in the jobs' own environment."""

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.local.layout import REPO
from tests.pipelines.conftest import Run, make_png

WRITE = "import sys; from pathlib import Path; from tests.serving.tiny import write_bundle; "
WRITE += "write_bundle(Path(sys.argv[1]))"


@pytest.fixture
def boards(home: Path, database: Any, dataset: str, tmp_path: Path) -> str:
    """A deployment whose bundle tells bright pictures from dark ones."""
    bundle = tmp_path / "bundle"
    python = home / "venvs" / "jobs" / "bin" / "python"
    subprocess.run([python, "-c", WRITE, bundle], cwd=REPO, check=True)
    fields = {"version": 3, "image_tag": "", "port": 1, "generation": 1}
    database["deployments"].insert_one({"_id": dataset, "bundle_uri": bundle.as_uri(), **fields})
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "dark.png").write_bytes(make_png(10))
    (folder / "bright 🌿\n.png").write_bytes(make_png(250))
    (folder / "note.txt").write_text("buy milk")
    return dataset


def test_folder_becomes_a_table(run: Run, boards: str, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    done = run("predict", "--deployment", boards, str(tmp_path / "in"), "--out", str(out))
    assert (done.code, done.err.count("100%")) == (0, 1), done.err
    assert done.out.startswith("2 predicted, 1 unreadable, ")
    assert done.out.endswith(f"img/s, by {boards} version 3\n")
    with out.open(encoding="utf-8", newline="") as file:
        labels = {row["path"]: row["label"] for row in csv.DictReader(file)}
    assert labels == {"bright 🌿\n.png": "bright", "dark.png": "dark", "note.txt": ""}


def test_one_object_for_programs(run: Run, boards: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = run("predict", "--deployment", boards, str(tmp_path / "in"), "--out", str(out), "--json")
    answer = json.loads(done.out)
    assert (answer["predicted"], answer["unreadable"], answer["version"]) == (2, 1, 3)
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


def test_mistakes_are_sentences(run: Run, boards: str, tmp_path: Path) -> None:
    folder, out = str(tmp_path / "in"), str(tmp_path / "out.csv")
    (tmp_path / "empty").mkdir()
    asked = ("predict", "--deployment", boards)
    for words, sentence, code in (
        ((*asked, folder), "is a folder: say where its answers go, --out", 1),
        ((*asked, folder, "--out", "a.txt"), "its ending must be .csv or .jsonl", 2),
        ((*asked, folder, folder, "--out", out), "name one folder; 2 were named", 2),
        ((*asked, f"{folder}/dark.png", "--out", out), "is no folder but a file", 1),
        ((*asked, f"{folder}/gone", "--out", out), "is not there", 1),
        ((*asked, str(tmp_path / "empty"), "--out", out), "holds no file", 1),
        (("predict", "--deployment", "none-such", folder, "--out", out), "no such deployment", 1),
    ):
        done = run(*words)
        assert (done.code, sentence in done.err) == (code, True), done.err
    assert not Path(out).exists()
