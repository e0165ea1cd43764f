"""Others write into the same folder: nobody's file is overwritten, and no half file is left."""

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from serving.job.errors import UserError
from spark_jobs.administration import export
from spark_jobs.administration.export import Folder, export_samples
from spark_jobs.administration.spec import ExportSpec


@pytest.fixture(params=["links", "no links"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that knows hard links, or one that does not."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if request.param == "no links":
        monkeypatch.setattr(os, "link", refuse)


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.usefixtures("disk")
def test_what_was_put_there_meanwhile_stays(tmp_path: Path) -> None:
    folder, parts = Folder(tmp_path), ("oak", "1.png")
    assert not folder.holds(parts, "0" * 64)
    Folder(tmp_path).write(parts, b"another's")
    with pytest.raises(UserError, match="nothing is overwritten"):
        folder.write(parts, b"mine")
    # The very same is no quarrel.
    folder.write(parts, b"another's")
    assert list_files(tmp_path) == {"oak/1.png": b"another's"}


def test_two_exports_into_one_folder_both_end(
    imported: str, import_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ExportSpec(
        output_uri="file:///x",
        dataset=imported,
        raw_uri=(tmp_path / "raw").as_uri(),
        snapshots_uri=(tmp_path / "snapshots").as_uri(),
        target_uri=(tmp_path / "exported").as_uri(),
    )
    # Both have looked, and found nothing there, before either writes.
    meeting, write, ended = threading.Barrier(2, timeout=20), Folder.write, []

    def meet_and_write(*arguments: Any) -> None:
        meeting.wait()
        write(*arguments)

    monkeypatch.setattr(export.Folder, "write", meet_and_write)
    threads = [
        threading.Thread(target=lambda: ended.append(export_samples(spec))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(one.samples, one.missing) for one in ended] == [(9, ())] * 2
    files = list_files(tmp_path / "exported")
    assert files.pop("labels.csv")
    assert files == list_files(import_root)


def test_parts_of_exports_at_work_stay(tmp_path: Path) -> None:
    for name, at in ((".partial-young", None), (".partial-old", (0, 0)), (".partial", (0, 0))):
        (tmp_path / name).write_bytes(b"half")
        if at is not None:
            os.utime(tmp_path / name, at)
    Folder(tmp_path)
    assert list(list_files(tmp_path)) == [".partial-young"]
