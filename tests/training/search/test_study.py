"""A study's file after a kill."""

from pathlib import Path
from threading import Thread

import pytest

from training.search.space import first_recipes
from training.search.study import ask, begin, find_finished

KEY = "ab" * 32
# As long as the other ranks wait for the one that opens the study.
PATIENCE_S = 25


def test_lock_of_a_killed_process_does_not_hold_up_the_next(tmp_path: Path) -> None:
    path, first = tmp_path / "study.log", first_recipes(["one crop"], None)
    study = begin(path, KEY, first)
    study.tell(ask(study, 0, 0), 0.5)
    lock = path.with_name(f"{path.name}.lock")
    lock.symlink_to(path)
    found: list[float | None] = []

    def open_again() -> None:
        found.extend(trial.value for trial in find_finished(begin(path, KEY, first)))

    opening = Thread(target=open_again, daemon=True)
    opening.start()
    opening.join(PATIENCE_S)
    assert found == [0.5]
    assert not lock.is_symlink()


@pytest.mark.parametrize("damage", [b"\0" * 9 + b"\n", b'{"op_code":', b"\0" * 9])
def test_what_a_power_cut_damaged_is_done_again(tmp_path: Path, damage: bytes) -> None:
    path, first = tmp_path / "study.log", first_recipes(["one crop"], None)
    study = begin(path, KEY, first)
    study.tell(ask(study, 0, 0), 0.5)
    whole = path.read_bytes()
    path.write_bytes(whole + damage + whole[:100])
    study = begin(path, KEY, first)
    study.tell(ask(study, 0, 0), 0.25)
    assert [trial.value for trial in find_finished(begin(path, KEY, first))] == [0.5, 0.25]
