"""Tables of labels: which columns are found, and what becomes of each row."""

import json
from pathlib import Path

import pytest

from serving.job.errors import UserError
from spark_jobs.importing.detecting import find_layout
from spark_jobs.importing.items import Item
from spark_jobs.importing.labelling import UNEXPECTED
from spark_jobs.importing.reading import read_picture
from spark_jobs.spec import LabelFields
from tests.spark_jobs.tiny import make_picture

NONE = LabelFields()


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def items(place: Path, fields: LabelFields = NONE) -> list[Item]:
    return list(find_layout(place.as_uri(), fields).items())


def labels(place: Path, fields: LabelFields = NONE) -> dict[str, str]:
    return {item.name: item.label for item in items(place, fields) if not item.refusal}


def refusals(place: Path) -> dict[str, str]:
    return {item.name: item.refusal for item in items(place) if item.refusal}


@pytest.fixture
def pictures(import_root: Path) -> Path:
    for name in ("1.png", "2.png", "in/3 ; 4.png"):
        put(import_root / name, make_picture(0, len(name)))
    return import_root


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "header", ["file,label", "Path,CLASS", "id,category,image", "x,filename,label,y"]
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_delimiter_and_columns_are_recognised(
    pictures: Path, delimiter: str, header: str, mark: bytes
) -> None:
    rows = [header.split(",")]
    for file, label in (("1.png", "a, or; b"), ("in/3 ; 4.png", "键盘")):
        values = {"file": file, "path": file, "image": file, "filename": file}
        given = {**values, "label": label, "class": label, "category": label}
        rows.append([given.get(name.lower(), "7") for name in rows[0]])
    quoted = ["\r\n".join(delimiter.join(f'"{value}"' for value in row) for row in rows)]
    put(pictures / "labels.csv", mark + quoted[0].encode())
    assert labels(pictures) == {"1.png": "a, or; b", "in/3 ; 4.png": "键盘"}
    assert find_layout(pictures.as_uri(), NONE).classes() == ["a, or; b", "键盘"]


def test_json_lines_with_splits_and_groups(pictures: Path) -> None:
    rows: list[object] = [
        {"image": "1.png", "label": "a", "split": "Train", "group": 7},
        {"image": "2.png", "label": 3, "split": None},
        {"image": "in/3 ; 4.png", "label": 3.0, "group": 0.5},
        {"image": "2.png", "label": ["a", "b"]},
        {"image": "2.png"},
        ["2.png", "a"],
    ]
    text = "\n".join(map(json.dumps, rows)) + "\n\n{broken\n"
    put(pictures / "labels.jsonl", text)
    found = items(pictures)
    assert [(i.label, i.split, i.group) for i in found[:3]] == [
        ("a", "train", "7"),
        ("3", None, None),
        ("3", None, "0.5"),
    ]
    told = [item.refusal for item in found[3:]]
    assert told[:3] == [UNEXPECTED, "empty label", "no JSON object"]
    assert told[3].startswith("no JSON: ")
    assert found[-1].name == "labels.jsonl, line 8"


def test_rows_that_cannot_be_used_say_why(pictures: Path, tmp_path: Path) -> None:
    put(tmp_path / "secret.png", make_picture(0, 1))
    (pictures / "out.png").symlink_to(tmp_path / "secret.png")
    rows = (
        "nothing.png,a,",
        "1.png, ,",
        "1.png,a,holdout",
        "../secret.png,a,",
        "in/../../secret.png,a,",
        f"{tmp_path}/secret.png,a,",
        "C:\\pictures\\1.png,a,",
        "file:///etc/passwd,a,",
        "out.png,a,",
        ",a,",
        "1.png,a",
        "1.png,a,train,more",
    )
    put(pictures / "l.csv", "file,label,split\n" + "\n".join(rows) + "\n\n  \n1.png,b,test\n")
    told = refusals(pictures)
    absolute = "an absolute path; it must be relative to the table's folder"
    leaves = "a path with '..', which leaves the table's folder"
    assert told == {
        "nothing.png": "there is no such file",
        "l.csv, line 3 (1.png)": "empty label",
        "l.csv, line 4 (1.png)": "unknown split 'holdout': allowed are train, training, val, "
        "valid, validation, test, testing",
        "../secret.png": leaves,
        "in/../../secret.png": leaves,
        f"{tmp_path}/secret.png": absolute,
        "C:\\pictures\\1.png": absolute,
        "file:///etc/passwd": absolute,
        "out.png": "a link that leaves the imported folder",
        "l.csv, line 11": "names no file",
        "l.csv, line 12": "2 values in a table of 3 columns",
        "l.csv, line 13": "4 values in a table of 3 columns",
    }
    (last,) = [item for item in items(pictures) if not item.refusal]
    assert (last.name, last.label, last.split) == ("1.png", "b", "test")


def test_paths_of_windows_and_of_other_accents(pictures: Path) -> None:
    put(pictures / "in" / "e\u0301.png", make_picture(1, 1))
    put(pictures / "labels.csv", "file,label\nin\\\u00e9.png,a\n1.png,b\n")
    found = items(pictures)
    layout = find_layout(pictures.as_uri(), NONE)
    assert [read_picture(layout.tree, item).rejection for item in found] == ["", ""]


def test_the_table_itself_may_be_named(pictures: Path) -> None:
    put(pictures / "train.csv", "file,label\n1.png,a\n2.png,b\n")
    put(pictures / "test.csv", "file,label\nin/3 ; 4.png,a\n")
    assert set(labels(pictures / "test.csv")) == {"in/3 ; 4.png"}
    with pytest.raises(UserError, match=r"2 tables of labels: test\.csv, train\.csv"):
        items(pictures)


def test_columns_may_be_named(pictures: Path) -> None:
    put(pictures / "t.tsv", "label\tspecies\timg\n9\tfox\t1.png\n8\tcat\t2.png\n")
    fields = LabelFields(picture="img", label="species", group="label")
    assert labels(pictures, fields) == {"1.png": "fox", "2.png": "cat"}
    assert [item.group for item in items(pictures, fields)] == ["9", "8"]
    with pytest.raises(UserError, match=r"no column 'kind' \(label_field\).*'label', 'species'"):
        items(pictures, LabelFields(picture="img", label="kind"))
    with pytest.raises(UserError, match=r"no column 'camera' \(group_field\)"):
        items(pictures / "t.tsv", LabelFields(picture="img", group="camera"))


def test_a_table_beside_class_folders_wins_if_it_is_one_of_labels(import_root: Path) -> None:
    for name in ("a/1.png", "b/2.png"):
        put(import_root / name, make_picture(0, len(name)))
    table = put(import_root / "notes.csv", "author,year\nme,2026\n")
    assert labels(import_root) == {"a/1.png": "a", "b/2.png": "b"}
    table.write_text("file,label\na/1.png,fox\nb/2.png,cat\n")
    assert labels(import_root) == {"a/1.png": "fox", "b/2.png": "cat"}
    table.write_bytes("é".encode("latin-1"))
    assert labels(import_root) == {"a/1.png": "a", "b/2.png": "b"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("t.csv", "author,year\nme,2026\n", "no picture column and no label column"),
        ("t.csv", "file,year\n1.png,2026\n", "no label column.*'file', 'year'"),
        ("t.csv", b"file,label\n1.png,caf\xe9\n", "not UTF-8: line 2 holds the byte 0xe9"),
        ("t.csv", "file,label\n1.png,a\n".encode("utf-16"), "not UTF-8"),
        ("t.csv", "", "columns are none"),
        ("t.jsonl", '[{"file": "1.png", "label": "a"}]', "no picture column"),
        ("t.txt", "file,label\n", "1 files, the first of them 't.txt'"),
    ],
)
def test_none_of_the_layouts(
    import_root: Path, name: str, content: bytes | str, words: str
) -> None:
    put(import_root / name, content)
    with pytest.raises(UserError, match=f"(?s){words}.*Expected is one of") as raised:
        items(import_root)
    assert "FOLDER/train/CLASS/picture.jpg" in str(raised.value)


def test_an_empty_folder_says_so(import_root: Path) -> None:
    with pytest.raises(UserError, match="is empty"):
        items(import_root)


def test_a_broken_quote_is_told_with_its_line(pictures: Path) -> None:
    put(pictures / "t.csv", 'file,label\n1.png,"' + "x" * 200_000 + '"\n')
    with pytest.raises(UserError, match="Line 2 cannot be read as CSV: field larger"):
        items(pictures)


def test_half_a_character_and_endless_nesting_are_one_rows_trouble(pictures: Path) -> None:
    good = json.dumps({"file": "1.png", "label": "a"})
    half = '{"file": "2.png", "label": "caf\\ud83d"}'
    lost = '{"file": "x\\ud83d.png", "label": "a"}'
    text = "\n".join([good, half, lost, '{"file": ' * 100_000])
    put(pictures / "labels.jsonl", text)
    assert labels(pictures) == {"1.png": "a", "2.png": "caf\\ud83d"}
    told = refusals(pictures)
    assert told["x\\ud83d.png"] == "there is no such file"
    assert told["labels.jsonl, line 4"].startswith("no JSON")
    assert "".join(item.name + item.label for item in items(pictures)).encode()
