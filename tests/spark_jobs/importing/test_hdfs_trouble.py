"""HDFS that refuses a path, has lost a file, or is down: which of these end an import."""

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hdfs import HdfsError, InsecureClient

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.importing.detecting import open_tree
from spark_jobs.importing.documents import read_path
from spark_jobs.importing.hdfs_tree import HdfsTree
from spark_jobs.importing.job import run_import
from spark_jobs.importing.source import RefusedFileError, SourceDownError
from spark_jobs.spec import ImportSpec
from tests.hdfs_server import Hdfs
from tests.spark_jobs.cluster import REPO
from tests.spark_jobs.tiny import make_picture

pytestmark = pytest.mark.integration
DAMAGED = "HDFS breaks off while it is read: its blocks may be damaged"
# A process of its own that reads little at a time, so that an outage finds it in the middle.
SMALL_STEPS = """
import sys
from serving.job import segments
from spark_jobs.importing import reading, sorting
segments.SEGMENT_BYTES, sorting.BATCH, reading.CHUNK = 20_000, 4, 2
from spark_jobs.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def root(hdfs: Hdfs, dataset: str) -> str:
    """A folder of the test's own."""
    return f"/{dataset}"


@pytest.fixture
def owner(hdfs: Hdfs) -> InsecureClient:
    """Whoever runs the tests owns this HDFS; the import comes as somebody else."""
    return InsecureClient(hdfs.address, user=getpass.getuser())


@pytest.fixture
def spec(root: str, tmp_path: Path, dataset: str, database: Any) -> ImportSpec:
    return ImportSpec(
        output_uri=(tmp_path / "out").as_uri(),
        dataset=dataset,
        source_uri=f"hdfs://{root}",
        raw_uri=(tmp_path / "raw").as_uri(),
    )


def write_pictures(owner: InsecureClient, root: str, per_class: int) -> None:
    def write(i: int) -> None:
        owner.write(f"{root}/{'ab'[i % 2]}/{i:03}.png", data=make_picture(i % 2, i))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(2 * per_class)))


def find_block(hdfs: Hdfs, content: bytes) -> Path:
    (block,) = (
        path
        for path in hdfs.blocks.rglob("blk_*")
        if path.suffix != ".meta" and path.read_bytes() == content
    )
    return block


def test_what_one_path_refuses_is_one_rejection(
    hdfs: Hdfs, owner: InsecureClient, root: str, spec: ImportSpec
) -> None:
    write_pictures(owner, root, 2)
    damaged, lost = make_picture(2, 1), make_picture(2, 2)
    owner.write(f"{root}/a/secret.png", data=make_picture(2, 0), permission="600")
    owner.write(f"{root}/a/damaged.png", data=damaged)
    owner.write(f"{root}/a/lost.png", data=lost)
    owner.write(f"{root}/a/closed/1.png", data=make_picture(2, 3))
    owner.set_permission(f"{root}/a/closed", "700")
    block = find_block(hdfs, damaged)
    block.write_bytes(damaged[:-1] + b"?")
    find_block(hdfs, lost).unlink()
    outcome = run_import(spec)
    assert (outcome.read, outcome.added, outcome.already_there) == (8, 4, 0)
    told = {one.name: one.reason for one in outcome.rejected}
    assert "Permission denied" in told["a/secret.png"]
    assert told["a/damaged.png"] == DAMAGED
    assert told["a/lost.png"] in (
        DAMAGED,
        "HDFS cannot read it: No active and not excluded nodes contain this block",
    )
    assert told["a/closed/"].startswith("the folder: Permission denied")


def test_paths_of_a_table_or_a_document(
    hdfs: Hdfs, owner: InsecureClient, root: str, dataset: str
) -> None:
    owner.write(f"{root}/open.png", data=b"1")
    owner.write(f"{root}/closed/in.png", data=b"1")
    owner.set_permission(f"{root}/closed", "700")
    told = {}
    for name in ("none.png", "closed/in.png", "closed", "open.png/x", "a:b.png", "", "x" * 300):
        with pytest.raises(RefusedFileError) as raised:
            read_path(f"hdfs://{root}/{name}")
        told[name] = str(raised.value)
    assert told.pop("none.png") == told.pop("x" * 300) == "there is no such file"
    assert told.pop("a:b.png") == "there is no such file"
    assert told.pop("closed") == told.pop("") == "not a regular file"
    assert "is not a directory" in told.pop("open.png/x")
    assert "Permission denied" in told.pop("closed/in.png")
    assert told == {}
    with pytest.raises(UserError, match=r"closed/in\.png cannot be read: Permission denied"):
        open_tree(f"hdfs://{root}/closed/in.png")
    with pytest.raises(UserError, match="There is no folder and no file"):
        open_tree(f"hdfs://{root}/none")
    # A store that is refused is no store in which nothing is.
    with pytest.raises(HdfsError, match="Permission denied"):
        store.list_names(f"hdfs://{root}/closed/deep")
    assert store.list_names(f"hdfs://{root}/none") == []
    with pytest.raises(HdfsError, match="Permission denied"):
        store.measure(f"hdfs://{root}/closed")


def test_every_sign_of_a_path_is_meant(hdfs: Hdfs, owner: InsecureClient, root: str) -> None:
    """`#LATEST` is a name to HDFS, and to it no path ends at a `#` or a `?`."""
    folder, other = f"{root}/#LATEST/a#1?x", f"{root}/later"
    target = f"{hdfs.address}/webhdfs/v1{{}}?op={{}}&user.name={getpass.getuser()}"
    for path in (folder, other):
        requests.put(target.format(quote(path), "MKDIRS"), timeout=10).raise_for_status()
    requests.put(target.format(quote(f"{folder}/1.png"), "CREATE"), b"1", timeout=10)
    uri = f"hdfs://{folder}"
    assert read_path(f"{uri}/1.png") == b"1"
    assert [entry.name for entry in open_tree(uri)[0].list(folder)] == ["1.png"]
    with pytest.raises(UserError, match="There is no folder and no file"):
        open_tree(f"{uri}y")


@contextmanager
def without_data(hdfs: Hdfs) -> Iterator[None]:
    hdfs.kill("datanode.DataNode")
    try:
        yield
    finally:
        hdfs.start("datanode.DataNode")
        hdfs.wait_for_live(1)


def test_an_outage_ends_the_attempt_and_the_next_one_goes_on(
    hdfs: Hdfs,
    owner: InsecureClient,
    root: str,
    spec: ImportSpec,
    database: Any,
) -> None:
    write_pictures(owner, root, 40)
    process = subprocess.Popen(
        [sys.executable, "-c", SMALL_STEPS, "--spec", spec.model_dump_json()],
        env=os.environ | {"PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 120
    while database["samples"].count_documents({"dataset": spec.dataset}) < 8:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    with without_data(hdfs):
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 1, said
        assert "SourceDownError: HDFS at http://127.0.0.1" in said
        assert "rejected" not in said
        # Noticed by the NameNode or not, it is an outage.
        tree = HdfsTree(root, hdfs.address)
        with pytest.raises(SourceDownError):
            tree.read(f"{root}/a/000.png")
        hdfs.wait_for_live(0)
        with pytest.raises(SourceDownError):
            tree.read(f"{root}/a/000.png")
        assert not store.exists(store.join(spec.output_uri, "outcome.json"))
    outcome = run_import(spec)
    assert (outcome.read, outcome.rejected) == (80, ())
    assert outcome.added + outcome.already_there == 80
    assert outcome.already_there >= 8
    with pytest.raises(SourceDownError, match="does not answer"):
        HdfsTree("/", "http://127.0.0.1:1").list("/")
