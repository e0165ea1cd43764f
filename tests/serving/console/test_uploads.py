"""What browsers send is written below one folder, whatever it is called and whatever it holds."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from serving.console import uploads
from serving.console.uploads import TooMuchError, Upload
from serving.job.errors import UserError
from tests.serving.console.conftest import draw

PICTURE = draw("teal", width=8, height=8)


def pack(*entries: str | tuple[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            name, content = (entry, PICTURE) if isinstance(entry, str) else entry
            archive.writestr(name, content)
    file.seek(0)
    return file


@pytest.fixture
def upload(tmp_path: Path) -> Upload:
    return Upload(tmp_path / "root")


def written(upload: Upload) -> set[str]:
    return {str(p.relative_to(upload.folder)) for p in upload.folder.rglob("*") if p.is_file()}


def test_an_archive_becomes_folders(upload: Upload) -> None:
    upload.add_archive(pack("ants/1.png", "bees/1.png", "bees/2.png", "__MACOSX/bees/._1.png"))
    assert written(upload) == {"ants/1.png", "bees/1.png", "bees/2.png"}
    assert upload.classes == {"ants": 1, "bees": 2}
    assert upload.refused == []


def test_a_folder_around_all_classes_is_left_out(upload: Upload) -> None:
    upload.add_archive(pack("photos/ants/1.png", "photos/bees/1.png", "photos/bees/.DS_Store"))
    assert written(upload) == {"ants/1.png", "bees/1.png"}


@pytest.mark.parametrize("name", ["train/ants/1.png", "ants/1.png"])
def test_a_split_or_a_single_class_is_none(upload: Upload, name: str) -> None:
    upload.add_archive(pack(name))
    assert written(upload) == {name}


@pytest.mark.parametrize(
    "name",
    [
        "../out.png",
        "a/../../out.png",
        "/abs/out.png",
        "C:\\out\\1.png",
        "..\\out.png",
        "a//1.png",
        "a/\x01.png",
        "a/.hidden.png",
        f"a/{'x' * 151}.png",
        "alone.png",
    ],
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, upload: Upload, name: str) -> None:
    upload.add_archive(pack(name, "b/1.png"))
    assert written(upload) == {"b/1.png"}
    assert upload.refusals == 1
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {"1.png"}


def test_a_link_in_an_archive_is_no_picture(upload: Upload) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("a/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    file.seek(0)
    upload.add_archive(file)
    assert written(upload) == set()
    assert "not an image" in upload.refused[0][1]


def test_what_is_no_picture_is_listed(upload: Upload) -> None:
    upload.add_archive(pack(("a/readme.txt", b"hello"), ("a/empty.png", b""), "a/1.png"))
    assert written(upload) == {"a/1.png"}
    assert [name for name, _ in upload.refused] == ["a/readme.txt", "a/empty.png"]


def test_a_bomb_is_stopped_by_what_it_unpacks_to(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 3_000_000)
    bomb = pack(*[(f"a/{n}.png", bytes(1_000_000)) for n in range(100)])
    assert len(bomb.getvalue()) < 200_000
    with pytest.raises(TooMuchError, match="unpacks to more than"):
        upload.add_archive(bomb)
    assert upload.refusals <= 3


def test_one_large_file_is_left_out(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILE_BYTES", 1_000_000)
    upload.add_archive(pack(("a/1.png", PICTURE + bytes(5_000_000)), "a/2.png"))
    assert written(upload) == {"a/2.png"}
    assert upload.refused[0][1].startswith("it is larger than")


def test_more_files_than_allowed(upload: Upload, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_FILES", 3)
    with pytest.raises(TooMuchError, match="at most 3 pictures"):
        upload.add_archive(pack(*[f"a/{n}.png" for n in range(5)]))
    with pytest.raises(TooMuchError, match="10 files"):
        upload.add_archive(pack(*[f"a/{n}.png" for n in range(10)]))


@pytest.mark.parametrize("content", [b"", b"no zip", pack("a/1.png").getvalue()[:-30]])
def test_what_is_no_archive_says_so(upload: Upload, content: bytes) -> None:
    with pytest.raises(UserError, match="no zip file"):
        upload.add_archive(io.BytesIO(content))


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_entry_is_listed(upload: Upload, method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a/1.png", PICTURE)
        archive.writestr("a/2.png", draw("gold"))
        entry = archive.getinfo("a/1.png")
    content = bytearray(file.getvalue())
    start = entry.header_offset + 30 + len(entry.filename) + 20
    content[start : start + 20] = bytes(byte ^ 0xFF for byte in content[start : start + 20])
    upload.add_archive(io.BytesIO(content))
    assert written(upload) == {"a/2.png"}
    assert "cannot be unpacked" in upload.refused[0][1]


def test_a_name_that_is_taken(upload: Upload) -> None:
    other = draw("gold")
    for content in (PICTURE, other, other):
        upload.add(("a", "1.png"), content)
    assert len(written(upload)) == 2
    upload.add(("a", "1.png", "2.png"), PICTURE)
    assert "called as its folder" in upload.refused[-1][1]


def test_it_goes_as_a_whole(upload: Upload) -> None:
    upload.add(("键 盘", "1.png"), PICTURE)
    assert written(upload) == {"键 盘/1.png"}
    upload.remove()
    assert not upload.folder.exists()


def test_what_was_left_behind_goes_after_a_day(tmp_path: Path) -> None:
    old, known, fresh = (Upload(tmp_path) for _ in range(3))
    for one in (old, known):
        os.utime(one.folder, (0, 0))
    uploads.sweep(tmp_path, {known.id})
    assert [one.folder.exists() for one in (old, known, fresh)] == [False, True, True]
