"""The chain that ships, over drawn scenes: for tests of near-duplicates, flags and sides."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from serving.job import store
from spark_jobs.report_models import EtlReport
from spark_jobs.spec import EtlOutcome
from tests.spark_jobs.near_duplicates.pictures import encode, make_scene

CHAIN = (
    "decode_image",
    "flag_quality",
    "compute_features",
    "group_near_duplicates",
    "assign_sides",
)


class RunEtl(Protocol):
    """Run it, perhaps on a snapshot; stages' parameters by their names."""

    def __call__(self, *, snapshot_id: str = "", **params: dict[str, Any]) -> EtlOutcome: ...


def make_picture(seed: int) -> bytes:
    """A scene like no other."""
    pixels = np.clip(make_scene(160, 120, seed), 0, 255).astype(np.uint8)
    return encode(Image.fromarray(pixels).convert("RGB"), "PNG")


def write(folder: Path, name: str, content: bytes) -> str:
    """Put it there; its sha256."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read_labels(outcome: EtlOutcome) -> dict[str, dict[str, Any]]:
    """sha256 → row of the snapshot."""
    path = outcome.labels_uri.removeprefix("file://")
    return {row["sha256"]: row for row in pq.read_table(path).to_pylist()}


def read_report(outcome: EtlOutcome) -> EtlReport:
    """What the etl found."""
    return store.read_model(outcome.report_uri, EtlReport)
