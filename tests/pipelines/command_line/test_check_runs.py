"""How ./modelmill test runs its checks, with pytest itself as the program."""

import os
import sys
from pathlib import Path

import pytest

from pipelines.command_line.check_runs import Check, run_side_by_side, tell
from pipelines.command_line.checks import LAST_FAILED

# Fails until something lies beside it.
FAILS_ONCE = """
from pathlib import Path

def test_sound():
    (Path(__file__).parent / "sound").open("a").write("x")

def test_busy():
    mark = Path(__file__).parent / "mark"
    there = mark.exists()
    mark.touch()
    assert there, "too slow"
"""


def make_check(folder: Path, body: str) -> Check:
    path = folder / "test_one.py"
    path.write_text(body)
    argv = (sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-o", f"cache_dir={folder}/c")
    return Check("one", (*argv, "--rootdir", str(folder), str(path)), again=LAST_FAILED)


def test_what_failed_beside_others_is_repeated_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (failure,) = run_side_by_side([[make_check(tmp_path, FAILS_ONCE)]], os.environ)
    assert failure.passed_alone
    capsys.readouterr()
    tell([failure])
    said = capsys.readouterr().err
    assert "== one failed (1), and passed when it ran alone:" in said
    assert "AssertionError: too slow" in said
    assert (tmp_path / "sound").read_text() == "x"


def test_what_fails_twice_has_failed_and_is_told_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = make_check(tmp_path, "def test_bad():\n    assert 1 == 2\n")
    (failure,) = run_side_by_side([[check]], os.environ)
    assert (failure.check.title, failure.passed_alone) == ("one, once more", False)
    capsys.readouterr()
    tell([failure])
    said = capsys.readouterr().err
    assert "E       assert 1 == 2" in said
    assert "FAILED" in said


def test_what_could_not_run_is_not_repeated(tmp_path: Path) -> None:
    (failure,) = run_side_by_side(
        [[make_check(tmp_path, "import nonsense_that_is_not")]], os.environ
    )
    assert (failure.check.title, failure.code, failure.passed_alone) == ("one", 2, False)
