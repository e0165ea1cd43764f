"""Which files an import sees, and what it refuses."""

import os
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.job.errors import UserError
from spark_jobs.importing.detecting import find_layout, open_tree
from spark_jobs.importing.folders import FolderLayout
from spark_jobs.importing.items import Item
from spark_jobs.importing.reading import read_picture
from spark_jobs.importing.source import LocalTree, RefusedFileError
from spark_jobs.spec import LabelFields
from tests.spark_jobs.tiny import make_picture


def put(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def layout_of(folder: Path) -> FolderLayout:
    return FolderLayout(open_tree(folder.as_uri())[0])


def items(folder: Path) -> dict[str, Item]:
    return {item.name: item for item in layout_of(folder).items()}


def test_classes_are_folders_with_any_name(import_root: Path) -> None:
    for name in ("键盘", "<b>bold", "a space", unicodedata.normalize("NFD", "érable")):
        put(import_root / name / "deep" / "1.jpg")
    assert layout_of(import_root).classes() == sorted(["键盘", "<b>bold", "a space", "érable"])
    found = items(import_root)
    assert found["érable/deep/1.jpg"].label == "érable"
    assert {item.split for item in found.values()} == {None}


def test_blanks_around_a_folders_name_do_not_make_a_class(import_root: Path) -> None:
    """As in a table of labels: what is exported and imported again has the same classes."""
    for name in ("oak", "oak ", " ash\u00a0", "\u2003"):
        put(import_root / name / "1.jpg")
    assert layout_of(import_root).classes() == ["ash", "oak"]
    found = {name: (item.label, item.refusal) for name, item in items(import_root).items()}
    assert found == {
        "oak/1.jpg": ("oak", ""),
        "oak /1.jpg": ("oak", ""),
        " ash\u00a0/1.jpg": ("ash", ""),
        "\u2003/1.jpg": ("", "its class folder has a blank name"),
    }


def test_splits_above_the_classes(import_root: Path) -> None:
    for name in ("train/a", "train/b", "validation/a", "Test/b"):
        put(import_root / name / "1.png")
    found = items(import_root)
    assert layout_of(import_root).classes() == ["a", "b"]
    assert {name: item.split for name, item in found.items()} == {
        "train/a/1.png": "train",
        "train/b/1.png": "train",
        "validation/a/1.png": "val",
        "Test/b/1.png": "test",
    }
    assert list(found)[-1] == "Test/b/1.png"


def test_classes_may_be_called_train_and_test(import_root: Path) -> None:
    put(import_root / "train" / "1.png")
    put(import_root / "test" / "1.png")
    assert layout_of(import_root).classes() == ["test", "train"]
    assert items(import_root)["train/1.png"].split is None


def test_hidden_files_are_not_read(import_root: Path) -> None:
    for name in ("a/.DS_Store", "__MACOSX/a/._1.png", ".git/config", "a/1.png", "b/1.png"):
        put(import_root / name)
    assert list(items(import_root)) == ["a/1.png", "b/1.png"]


def test_links_that_leave_are_refused(import_root: Path, tmp_path: Path) -> None:
    put(tmp_path / "secret" / "1.png", make_picture(0, 0))
    put(import_root / "a" / "1.png", make_picture(0, 1))
    (import_root / "a" / "inside.png").symlink_to(import_root / "a" / "1.png")
    (import_root / "a" / "outside.png").symlink_to(tmp_path / "secret" / "1.png")
    (import_root / "a" / "dead.png").symlink_to(import_root / "nowhere")
    (import_root / "b").symlink_to(tmp_path / "secret")
    (import_root / "loop").symlink_to(import_root)
    tree = LocalTree(str(import_root))
    told = {name: read_picture(tree, item).rejection for name, item in items(import_root).items()}
    assert told == {
        "a/1.png": "",
        "a/inside.png": "",
        "a/outside.png": "a link that leaves the imported folder",
        "a/dead.png": "cannot be read: No such file or directory",
        "b": "a link that leaves the imported folder",
        "loop": "a link to a folder, which is not followed",
    }


def test_files_that_are_no_pictures(import_root: Path) -> None:
    picture = make_picture(0, 0)
    put(import_root / "a" / "right ending.txt", picture)
    put(import_root / "a" / "wrong ending.jpg", b"hello")
    put(import_root / "a" / "empty.jpg", b"")
    put(import_root / "a" / "cut.png", picture[: len(picture) // 2])
    put(import_root / "beside.png", picture)
    os.mkfifo(import_root / "a" / "pipe.png")
    tree = LocalTree(str(import_root))
    told = {item.name: read_picture(tree, item).rejection for item in FolderLayout(tree).items()}
    assert told["a/right ending.txt"] == ""
    assert "not an image" in told["a/wrong ending.jpg"]
    assert "empty" in told["a/empty.jpg"]
    assert "unreadable" in told["a/cut.png"]
    assert told["a/pipe.png"] == "not a regular file"
    assert told["beside.png"] == "not inside a class folder"


def test_folders_outside_the_roots_are_refused(import_root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (import_root / "way out").symlink_to(tmp_path / "elsewhere")
    for folder in (tmp_path / "elsewhere", import_root / "way out", import_root / ".."):
        with pytest.raises(UserError, match="MODELMILL_IMPORT_ROOTS"):
            open_tree(f"file://{folder}")


@pytest.mark.parametrize("uri", ["file:///{root}/nothing", "ftp://host/x"])
def test_no_such_source(import_root: Path, uri: str) -> None:
    with pytest.raises(UserError, match=r"no folder|cannot be imported"):
        open_tree(uri.replace("/{root}", str(import_root)))


def test_no_class_folders(import_root: Path) -> None:
    put(import_root / "1.png")
    with pytest.raises(UserError, match=r"FOLDER/CLASS/picture\.jpg"):
        find_layout(import_root.as_uri(), LabelFields())


def test_a_link_to_itself_is_refused(import_root: Path) -> None:
    put(import_root / "a" / "1.png")
    (import_root / "a" / "round.png").symlink_to("round.png")
    assert items(import_root)["a/round.png"].refusal == "a link that leads round in a circle"
    with pytest.raises(RefusedFileError, match="round in a circle"):
        LocalTree(str(import_root)).locate("a/round.png")


@pytest.fixture
def nobody(import_root: Path) -> Iterator[None]:
    """Files that others closed are closed to root, too."""
    if os.geteuid():
        yield
        return
    for folder in (import_root, *import_root.parents):
        if folder == Path(tempfile.gettempdir()):
            break
        folder.chmod(folder.stat().st_mode | 0o011)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def closed(import_root: Path) -> Iterator[Path]:
    """Two classes; of one, a file and a folder are closed; a split is closed, too."""
    for name in ("a/1.png", "a/closed.png", "a/in/2.png", "b/1.png"):
        put(import_root / "train" / name, make_picture(0, len(name)))
    put(import_root / "test" / "a" / "1.png")
    (import_root / "train" / "b" / "link.png").symlink_to(import_root / "test" / "a" / "1.png")
    shut = [import_root / "train" / "a" / "closed.png", import_root / "train" / "a" / "in"]
    shut.append(import_root / "test")
    for path in shut:
        path.chmod(0)
    yield import_root
    for path in shut:
        path.chmod(0o755)


def test_what_is_closed_is_rejected_and_the_rest_is_read(closed: Path, nobody: None) -> None:
    tree = LocalTree(str(closed))
    layout = FolderLayout(tree)
    assert layout.classes() == ["a", "b"]
    told = {item.name: read_picture(tree, item).rejection for item in layout.items()}
    assert told == {
        "train/a/1.png": "",
        "train/a/closed.png": "cannot be read: Permission denied",
        "train/a/in/": "the folder: cannot be read: Permission denied",
        "train/b/1.png": "",
        "train/b/link.png": "cannot be read: Permission denied",
        "test/": "the folder: cannot be read: Permission denied",
    }
    with pytest.raises(RefusedFileError, match="cannot be read: Permission denied"):
        tree.locate("test/a/1.png")
    with pytest.raises(UserError, match=r"test cannot be read|The folder .*test: cannot be read"):
        find_layout((closed / "test").as_uri(), LabelFields())
    with pytest.raises(UserError, match="cannot be read: Permission denied"):
        find_layout((closed / "test" / "a").as_uri(), LabelFields())
