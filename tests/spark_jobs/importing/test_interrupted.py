"""Imports that are killed, run twice at once or are large: nothing is lost or doubled."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from serving.job import store
from serving.job.mongo import MONGO_VARIABLE
from spark_jobs.importing.job import run_import
from spark_jobs.importing.source import ROOTS_VARIABLE
from spark_jobs.spec import ImportOutcome, ImportSpec
from tests.spark_jobs.cluster import REPO
from tests.spark_jobs.tiny import CLASSES, make_picture

# A process of its own whose segments are small, so that a kill finds it between two of them.
SMALL_SEGMENTS = """
import sys
from serving.job import segments
from spark_jobs.importing import sorting
segments.SEGMENT_BYTES = {segment}
sorting.BATCH = {batch}
from spark_jobs.main import main
sys.exit(main(sys.argv[1:]))
"""


def start(
    spec: ImportSpec, root: Path, mongo: str, segment: int = 64_000_000, batch: int = 256
) -> "subprocess.Popen[bytes]":
    code = SMALL_SEGMENTS.format(segment=segment, batch=batch)
    environment = os.environ | {"PYTHONPATH": str(REPO), MONGO_VARIABLE: mongo}
    environment[ROOTS_VARIABLE] = str(root)
    command = [sys.executable, "-c", code, "--spec", spec.model_dump_json()]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def is_alive(process: str) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def write_pictures(folder: Path, per_class: int, start: int = 0) -> set[bytes]:
    written = set()
    for channel, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for seed in range(start, start + per_class):
            content = make_picture(channel, seed)
            (folder / name / f"{seed:04}.png").write_bytes(content)
            written.add(content)
    return written


def read_back(database: Any, dataset: str, raw: Path) -> Counter[bytes]:
    """Contents of the dataset's samples, each from the segment that its sample names."""
    samples = list(database["samples"].find({"dataset": dataset}))
    wanted = {(s["segment"].rsplit("/", 1)[-1], s["sha256"]) for s in samples}
    assert len(wanted) == len(samples)
    rows = [(p.name, row) for p in raw.iterdir() for row in pq.read_table(p).to_pylist()]
    found = Counter(r["content"] for name, r in rows if (name, r["sha256"]) in wanted)
    assert found.total() == len(samples)
    return found


def test_killed_in_the_middle_and_done_again(
    spec: ImportSpec, import_root: Path, mongo_server: str, database: Any, tmp_path: Path
) -> None:
    written = write_pictures(import_root, 60)
    for kill_at in (10, 90):
        process = start(spec, import_root, mongo_server, segment=30_000, batch=4)
        end = time.monotonic() + 120
        while database["samples"].count_documents({"dataset": spec.dataset}) < kill_at:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        process.send_signal(signal.SIGKILL)
        process.wait()
        # Its readers end with it.
        while any(map(is_alive, children)):
            assert time.monotonic() < end
            time.sleep(0.05)
        count = database["samples"].count_documents({"dataset": spec.dataset})
        assert kill_at <= count < len(written)
    outcome = run_import(spec)
    assert outcome.added + outcome.already_there == outcome.read == len(written)
    assert outcome.already_there >= 90
    assert read_back(database, spec.dataset, tmp_path / "raw") == Counter(dict.fromkeys(written, 1))
    document = database["datasets"].find_one({"_id": spec.dataset})
    assert document["classes"] == sorted(CLASSES)


def test_classes_that_a_kill_left_out_come_with_the_next_import(
    spec: ImportSpec, import_root: Path, database: Any
) -> None:
    write_pictures(import_root, 2)
    run_import(spec)
    database["datasets"].delete_one({"_id": spec.dataset})
    assert run_import(spec).already_there == 6
    assert database["datasets"].find_one({"_id": spec.dataset})["classes"] == sorted(CLASSES)


def test_two_processes_with_overlapping_folders(
    spec: ImportSpec, tmp_path: Path, mongo_server: str, database: Any
) -> None:
    roots = (tmp_path / "import" / "one", tmp_path / "import" / "two")
    written = write_pictures(roots[0], 30) | write_pictures(roots[1], 30, start=15)
    specs = [
        spec.model_copy(
            update={"source_uri": root.as_uri(), "output_uri": (tmp_path / root.name).as_uri()}
        )
        for root in roots
    ]
    assert len(written) == 135
    for added in (135, 0):
        processes = [start(one, tmp_path, mongo_server, 30_000, 8) for one in specs]
        assert [process.wait(200) for process in processes] == [0, 0]
        outcomes = [
            store.read_model(store.join(one.output_uri, "outcome.json"), ImportOutcome)
            for one in specs
        ]
        assert sum(outcome.added for outcome in outcomes) == added
        assert sum(outcome.already_there for outcome in outcomes) == 180 - added
        found = read_back(database, spec.dataset, tmp_path / "raw")
        assert found == Counter(dict.fromkeys(written, 1))


def test_two_thousand_small_files_are_one_segment(
    spec: ImportSpec, import_root: Path, tmp_path: Path
) -> None:
    for i in range(2000):
        place = import_root / f"class {i % 4}" / f"{i}.bmp"
        place.parent.mkdir(exist_ok=True)
        color = (i % 256, i // 256, 7)
        Image.new("RGB", (4, 4), color).save(place)
    assert run_import(spec).added == 2000
    assert len(list((tmp_path / "raw").iterdir())) == 1


def measure_peak(spec: ImportSpec, root: Path, mongo: str) -> int:
    """Peak memory, in MB, of the process that collects what its readers read."""
    code = (
        "import resource, sys; from spark_jobs.main import main; code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000); sys.exit(code)"
    )
    environment = os.environ | {"PYTHONPATH": str(REPO), MONGO_VARIABLE: mongo}
    done = subprocess.run(
        [sys.executable, "-c", code, "--spec", spec.model_dump_json()],
        env=environment | {ROOTS_VARIABLE: str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


def test_memory_does_not_grow_with_the_import(
    spec: ImportSpec, import_root: Path, mongo_server: str
) -> None:
    """100 MB of pictures of 5 MB, then 500 MB of them: a segment and a batch are in memory."""
    peaks = []
    for count in (20, 100):
        for i in range(count):
            place = import_root / f"class {i % 2}" / f"{i}.bmp"
            place.parent.mkdir(exist_ok=True)
            pixels = np.full((1000, 1700, 3), i, np.uint8)
            pixels[0, 0] = count
            Image.fromarray(pixels).save(place)
        peaks.append(measure_peak(spec, import_root, mongo_server))
    assert peaks[1] < peaks[0] + 120, peaks
