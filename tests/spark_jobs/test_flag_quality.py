"""Flags on pictures of every size: a small one is not blurred because it is small."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from spark_jobs.context import StageContext
from spark_jobs.importing.digits import write_digits
from spark_jobs.sample_rows import make_samples
from spark_jobs.stages.flag_quality import Params, run
from tests.spark_jobs.near_duplicates.pictures import encode


def draw(side: int, detail: int) -> bytes:
    """A square of grain, as sharp as one of `detail` pixels."""
    grain = np.random.default_rng(0).integers(0, 256, (detail, detail), np.uint8)
    image = Image.fromarray(grain).resize((side, side), Image.Resampling.BICUBIC)
    return encode(image.convert("RGB"), "PNG")


@pytest.mark.parametrize("side", [600, 256, 128, 32])
def test_a_picture_is_judged_by_its_own_size(
    spark: SparkSession, context: StageContext, side: int
) -> None:
    contents = {"sharp": draw(side, side), "blurred": draw(side, 8)}
    rows: list[dict[str, object]] = [
        {"sha256": f"{name} {side}", "content": content, "width": side, "height": side}
        for name, content in contents.items()
    ]
    found = run(make_samples(spark, rows), Params(), context).collect()
    flagged = {row["sha256"] for row in found if "blurred" in row["flags"]}
    # Of a very small one nobody can tell.
    assert flagged == ({f"blurred {side}"} if side > 32 else set())


def test_handwritten_digits_are_not_blurred(
    spark: SparkSession, context: StageContext, tmp_path: Path
) -> None:
    write_digits(tmp_path)
    files = sorted(tmp_path.rglob("*.png"))[::40]
    rows: list[dict[str, object]] = [
        {"sha256": path.name, "content": path.read_bytes(), "width": 64, "height": 64}
        for path in files
    ]
    found = run(make_samples(spark, rows), Params(), context).collect()
    assert len(found) == len(files)
    assert {flag for row in found for flag in row["flags"]} <= {"too_bright"}
