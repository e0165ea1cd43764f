"""The README's stage as it stands there, in a whole etl job: one file, no other line changed."""

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from spark_jobs.etl import run_etl
from spark_jobs.runner import STAGES_VARIABLE
from spark_jobs.spec import StageSpec
from tests.spark_jobs.cluster import REPO
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.tiny import encode, write_tree


def read_recipe() -> str:
    found = re.search(r"^```python\n(.*?)^```", (REPO / "README.md").read_text(), re.S | re.M)
    assert found
    return found[1]


def test_stage_of_the_readme_rejects_small_pictures(
    run_import_of: Callable[[], None],
    make_spec: MakeSpec,
    import_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from PIL import Image

    folder = tmp_path / "my stages"
    folder.mkdir()
    (folder / "reject_tiny.py").write_text(read_recipe())
    monkeypatch.setenv(STAGES_VARIABLE, str(folder))
    write_tree(import_root, per_class=6)
    label = next(import_root.iterdir())
    (label / "speck.png").write_bytes(encode(Image.new("RGB", (20, 90))))
    run_import_of()
    names = ("decode_image", "reject_tiny", "compute_features", "assign_sides")
    outcome = run_etl(make_spec(stages=tuple(StageSpec(name=name) for name in names)))
    assert {count.stage: count.rejected for count in outcome.stages}["reject_tiny"] == 1
    rows = pq.read_table(tmp_path / "etl" / "rejected" / "rejected.parquet").to_pylist()
    assert [row["reason"] for row in rows] == ["shorter side below 32"]
