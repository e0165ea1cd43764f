"""A folder's files, each answered as the server answers it."""

import os
import threading
from pathlib import Path

import pytest

from serving.app import create_app
from serving.bundle import folders
from serving.bundle.folders import FileFound, PictureAnswer, answer_files, list_files
from serving.bundle.predictor import Predictor
from tests.serving.test_app import RAW, predict
from tests.serving.tiny import plain, write_bundle

ODD = ("a\nb.png", "🌿 herb.png", 'say "oak".png', "=1+1,;.png", "a\r.png", "…/Ü.png")


def answer(folder: Path, bundle: Path, **options: int) -> list[PictureAnswer]:
    chosen = {"top": 2, "threads": 2, **options}
    return list(answer_files(Predictor(bundle), folder, list_files(folder), **chosen))


def fill(folder: Path) -> Path:
    for number, name in enumerate(ODD):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plain(20 * number))
    return folder


def test_each_answer_is_the_servers(tmp_path: Path, bundle: Path) -> None:
    folder = fill(tmp_path / "in")
    app = create_app(bundle, "d", 1)
    for one in answer(folder, bundle):
        content = (folder / one.name).read_bytes()
        served = predict(app, content=content, headers=RAW).json()
        assert [(r["label"], r["score"]) for r in served["results"]] == list(one.results)


def test_order_is_that_of_the_names_whatever_the_threads(tmp_path: Path, bundle: Path) -> None:
    folder = fill(tmp_path / "in")
    for number in range(40):
        (folder / f"n{number:02}.png").write_bytes(plain(number))
    found = [answer(folder, bundle, threads=n) for n in (1, 4)]
    assert found[0] == found[1]
    assert [one.name for one in found[0]] == sorted(one.name for one in found[0])
    assert {one.name for one in found[0]} >= set(ODD)


def test_what_cannot_be_read_is_an_answer(tmp_path: Path, bundle: Path) -> None:
    folder = tmp_path / "in"
    (folder / "inner").mkdir(parents=True)
    (folder / "empty.png").touch()
    (folder / "good.png").write_bytes(plain(0))
    (folder / "note.txt").write_text("buy milk")
    (folder / "torn.png").write_bytes(plain(0)[:40])
    (folder / ".hidden.png").write_bytes(plain(0))
    (folder / "to-itself").symlink_to(folder)
    (folder / "dangling.png").symlink_to(folder / "nowhere")
    (folder / "linked.png").symlink_to(folder / "good.png")
    os.mkfifo(folder / "pipe.png")
    errors = {one.name: one.error for one in answer(folder, bundle)}
    assert errors.pop("good.png") == errors.pop("linked.png") == ""
    assert "not an image" in errors.pop("note.txt")
    assert errors.pop("torn.png")
    assert errors == {
        "dangling.png": "cannot be read: No such file or directory",
        "empty.png": "empty file",
        "pipe.png": "no regular file",
        "to-itself": "a link to a folder, which is not followed",
    }


def test_huge_file_is_not_read(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MAX_BYTES", 10)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "huge.png").write_bytes(plain(0))
    (one,) = answer(tmp_path / "in", bundle)
    assert one.error.endswith("bytes are more than 10")


def test_folder_that_vanishes_is_an_entry(tmp_path: Path) -> None:
    assert list(list_files(tmp_path / "gone")) == [
        FileFound("", "the folder cannot be read: No such file or directory")
    ]


def test_few_files_are_looked_at_before_their_turn(tmp_path: Path, bundle: Path) -> None:
    looked = 0
    folder = fill(tmp_path / "in")

    def endless() -> object:
        nonlocal looked
        while True:
            looked += 1
            yield FileFound(ODD[0])

    answers = answer_files(Predictor(bundle), folder, endless(), top=1, threads=2)  # type: ignore[arg-type]
    for _ in range(5):
        next(answers)
    assert looked <= 5 + folders.AHEAD * 2
    answers.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("pictures")]


def test_no_numbers_are_no_answer(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "nan", sign=float("nan"))
    (one, *_) = answer(fill(tmp_path / "in"), bundle)
    assert one.error == "the network answered no numbers"
