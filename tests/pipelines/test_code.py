"""The jobs' code: its version, and the archive for executors."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipelines.code import REPO, code_version, hash_sources, write_archive

PROBE = """
import serving.bundle.manifest, serving.job.store, spark_jobs.spec
print(spark_jobs.spec.__file__)
print(serving.bundle.manifest.__file__)
"""
FILES = {
    "serving/__init__.py": "",
    "serving/app.py": "SERVER = 1\n",
    "serving/job/__init__.py": "",
    "serving/job/spec.py": "A = 1\n",
    "serving/bundle/__init__.py": "",
    "spark_jobs/__init__.py": "",
    "spark_jobs/report/page.html": "<p>",
    "training/loop.py": "B = 1\n",
    "pipelines/plan.py": "C = 1\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("serving/app.py", True),
        ("serving/job/spec.py", True),
        ("spark_jobs/report/page.html", True),
        ("training/loop.py", True),
        ("pipelines/plan.py", False),
    ],
)
def test_version_is_that_of_the_jobs_sources(tree: Path, name: str, changes: bool) -> None:
    before = code_version(tree)
    (tree / name).write_text(FILES[name] + "\n")
    assert (code_version(tree) != before) is changes


def test_version_changes_with_a_name_and_with_where_a_line_stands(tree: Path) -> None:
    versions = {code_version(tree)}
    (tree / "training/loop.py").rename(tree / "training/loops.py")
    versions.add(code_version(tree))
    # The same text, in the other of two neighbouring files.
    (tree / "serving/app.py").write_text("")
    (tree / "serving/bundle/__init__.py").write_text(FILES["serving/app.py"])
    versions.add(code_version(tree))
    assert len(versions) == 3


def test_version_knows_nothing_of_caches_places_and_times(tree: Path, tmp_path: Path) -> None:
    before = code_version(tree)
    cache = tree / "training" / "__pycache__"
    cache.mkdir()
    (cache / "loop.cpython-311.pyc").write_bytes(b"\0")
    os.utime(tree / "training/loop.py", (1, 1))
    assert code_version(tree) == before
    assert code_version(tree.rename(tmp_path / "elsewhere")) == before


def test_version_of_this_checkout_is_twelve_digits() -> None:
    assert len(code_version()) == 12
    assert int(code_version(), 16) >= 0


def test_equal_code_gives_equal_bytes(tree: Path, tmp_path: Path) -> None:
    first = write_archive(tmp_path / "one", tree)
    for path in tree.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o600)
    second = write_archive(tmp_path / "two", tree)
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in first.parent.iterdir()) == [first.name]
    with zipfile.ZipFile(first) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_archive_is_written_once(tree: Path, tmp_path: Path) -> None:
    archive = write_archive(tmp_path, tree)
    archive.write_bytes(b"as it was")
    assert write_archive(tmp_path, tree).read_bytes() == b"as it was"
    (tree / "serving/job/spec.py").write_text("A = 2\n")
    assert write_archive(tmp_path, tree) != archive


def test_archive_holds_what_executors_run_and_no_server(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_archive(tmp_path)) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
    wanted = {
        str(path.relative_to(REPO))
        for package in ("spark_jobs", "serving/job", "serving/bundle")
        for path in (REPO / package).rglob("*.py")
    }
    assert wanted | {"serving/__init__.py"} <= names
    assert not [name for name in names if name.startswith(("training/", "pipelines/", "dags/"))]
    assert "serving/app.py" not in names
    assert not [name for name in names if "__pycache__" in name]


def test_archives_code_is_found_from_an_empty_folder(tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "code")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE],
        cwd=empty,
        env={"PYTHONPATH": str(archive), "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.startswith(str(archive)) for line in done.stdout.splitlines()] == [True, True]


def test_archives_name_changes_with_each_file_in_it(tree: Path, tmp_path: Path) -> None:
    before = write_archive(tmp_path, tree)
    (tree / "serving/__init__.py").write_text("D = 1\n")
    assert write_archive(tmp_path, tree) != before


def test_hash_is_of_the_named_packages_only(tree: Path) -> None:
    before = hash_sources(tree, ("spark_jobs",))
    (tree / "training/loop.py").write_text("")
    assert hash_sources(tree, ("spark_jobs",)) == before
