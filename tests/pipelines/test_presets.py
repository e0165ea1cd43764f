"""Preset files, good and bad."""

from pathlib import Path

import pytest

from pipelines.presets import SHIPPED, PresetError, list_presets, read_preset
from pipelines.request import RunRequest

GOOD = """
title: Floor boards, at night
cron: "30 2 * * *"
paused: false
request:
  dataset: boards
  min_accuracy: 0.9
"""
HEAD = "title: Boards\ncron: '30 2 * * *'\n"
REQUEST = "request:\n  dataset: boards\n"


def write(folder: Path, text: str, name: str = "boards.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_good_preset_is_read_whole(tmp_path: Path) -> None:
    preset = read_preset(write(tmp_path, GOOD))
    assert (preset.title, preset.cron, preset.paused) == (
        "Floor boards, at night", "30 2 * * *", False,
    )  # fmt: skip
    assert preset.request == RunRequest(dataset="boards", min_accuracy=0.9, on_unsure="keep")


@pytest.mark.parametrize("on_unsure", ["ask", "promote"])
def test_nobody_is_asked_at_night_unless_the_file_says_so(tmp_path: Path, on_unsure: str) -> None:
    preset = read_preset(write(tmp_path, f"{HEAD}{REQUEST}  on_unsure: {on_unsure}\n"))
    assert preset.request.on_unsure == on_unsure


def test_preset_is_paused_unless_it_says_so(tmp_path: Path) -> None:
    assert read_preset(write(tmp_path, HEAD + REQUEST)).paused


def test_shipped_preset_is_valid_and_paused() -> None:
    found = list_presets(SHIPPED)
    assert set(found) >= {"digits"}
    assert read_preset(found["digits"]).request.dataset == "digits"
    assert all(read_preset(path).paused for path in found.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: [", ["cannot be read as YAML"]),
        ("title: \t- x: {", ["cannot be read as YAML"]),
        ("? [a]\n: b", ["cannot be read as YAML"]),
        ("- title\n- cron\n", ["must hold the keys title, cron, paused, request"]),
        ("", ["must hold the keys title, cron, paused, request"]),
        (HEAD, ["request must hold the fields"]),
        (HEAD + "request: boards\n", ["request must hold the fields"]),
        (HEAD + "request:\n  min_accuracy: 0.9\n", ["request.dataset is missing"]),
        (HEAD + REQUEST + "  epoch: 3\n", ["request.epoch is not a field", "max_trials"]),
        (HEAD + REQUEST + "  min_accuracy: 1.5\n", ["request.min_accuracy", "1.5", "0 to 1"]),
        (HEAD + REQUEST + "  1: 2\n", ["request.1"]),
        (HEAD + REQUEST + "color: red\n", ["color", "Its keys are title, cron, paused, request"]),
        ("cron: '0 2 * * *'\n" + REQUEST, ["title", "Its keys are"]),
        ("title: ''\ncron: '0 2 * * *'\n" + REQUEST, ["title", "at least 1 character"]),
        ("title: Boards\n" + REQUEST, ["cron", "Its keys are"]),
        ("title: Boards\ncron: 5\n" + REQUEST, ["cron", "valid string"]),
        ("title: B\ncron: every night\n" + REQUEST, ["cron was 'every night'", "30 2 * * *"]),
        ("title: B\ncron: '0 25 * * *'\n" + REQUEST, ["cron was '0 25 * * *'", "five fields"]),
        ("title: B\ncron: ''\n" + REQUEST, ["cron was ''", "five fields"]),
        (HEAD + REQUEST + "paused: maybe\n", ["paused", "valid boolean"]),
    ],
)
def test_bad_file_gets_a_sentence(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(PresetError) as raised:
        read_preset(path)
    said = str(raised.value)
    assert said.startswith(str(path))
    assert [word for word in words if word not in said] == []


@pytest.mark.parametrize("value", ["2024-02-30", "9" * 5000], ids=["no such day", "huge number"])
def test_value_that_yaml_cannot_make_gets_a_sentence(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, f"{HEAD}note: {value}\n{REQUEST}")
    with pytest.raises(PresetError, match=r"boards\.yaml"):
        read_preset(path)


def test_day_that_never_comes_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, f"title: B\ncron: '0 2 31 2 *'\n{REQUEST}")
    with pytest.raises(PresetError, match="cron was '0 2 31 2"):
        read_preset(path)


@pytest.mark.parametrize("name", ["Boards.yaml", "1st.yaml", "my boards.yaml", "木板.yaml"])
def test_file_name_must_do_for_a_dag(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, GOOD, name)
    with pytest.raises(PresetError, match="a lower-case letter, then") as raised:
        read_preset(path)
    assert str(raised.value).startswith(str(path))


def test_file_that_cannot_be_opened_gets_a_sentence(tmp_path: Path) -> None:
    folder, bytes_, gone = (tmp_path / f"{name}.yaml" for name in ("folder", "bytes", "gone"))
    folder.mkdir()
    bytes_.write_bytes(b"title: \xff\xfe")
    gone.symlink_to(tmp_path / "nowhere")
    for path in (folder, bytes_, gone):
        with pytest.raises(PresetError, match="cannot be read as YAML") as raised:
            read_preset(path)
        assert str(raised.value).startswith(str(path))


def test_later_folder_wins_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    both = write(first, GOOD), write(second, GOOD)
    other = write(first, GOOD, "herbs.yml")
    write(first, GOOD, "notes.txt")
    assert list_presets(first, second, tmp_path / "gone") == {"boards": both[1], "herbs": other}
    assert list_presets(second, first) == {"boards": both[0], "herbs": other}
    assert list_presets(tmp_path / "gone") == {}
