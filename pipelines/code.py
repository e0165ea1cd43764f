"""The jobs' code: its version, and the archive that Spark's executors get it from."""

import hashlib
import uuid
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
JOB_PACKAGES = ("serving", "spark_jobs", "training")
# What runs inside executors; training and the server's own modules never do.
EXECUTOR_PACKAGES = ("spark_jobs", "serving/job", "serving/bundle")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def list_sources(root: Path, packages: tuple[str, ...]) -> list[Path]:
    """Python and template files of some packages, sorted, without caches."""
    found = [
        path
        for package in packages
        for path in (root / package).rglob("*")
        if path.suffix in (".py", ".html", ".css", ".js", ".json") and path.is_file()
    ]
    return sorted(found)


def hash_sources(root: Path, packages: tuple[str, ...]) -> str:
    """12 hex digits over names and contents."""
    return _hash_files(root, list_sources(root, packages))


def _hash_files(root: Path, sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in sources:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def code_version(root: Path = REPO) -> str:
    """Version of all job code: the same files give the same one on any machine."""
    return hash_sources(root, JOB_PACKAGES)


def write_archive(folder: Path, root: Path = REPO) -> Path:
    """Zip the executors' code into folder/<hash>.zip, once; equal code gives equal bytes."""
    sources = list_sources(root, EXECUTOR_PACKAGES)
    sources.append(root / "serving" / "__init__.py")
    archive = folder / f"{_hash_files(root, sources)}.zip"
    if archive.exists():
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{archive.stem}.{uuid.uuid4().hex}"
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(sources):
            entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            target.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    # Two tasks may write it at once: each its own partial file, and the bytes are equal.
    partial.replace(archive)
    return archive
