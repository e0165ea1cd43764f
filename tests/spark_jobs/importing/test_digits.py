"""The demo's pictures are a tree that the import takes as it takes anybody's."""

from pathlib import Path

import numpy as np
from PIL import Image

from spark_jobs.importing.digits import write_digits
from spark_jobs.importing.folders import FolderLayout
from spark_jobs.importing.source import LocalTree


def test_digits_are_a_folder_per_class(tmp_path: Path) -> None:
    assert write_digits(tmp_path) == 1797
    items = list(FolderLayout(LocalTree(str(tmp_path))).items())
    assert len(items) == 1797
    assert {item.label for item in items} == set("0123456789")
    assert not any(item.refusal or item.split for item in items)
    zero = np.asarray(Image.open(tmp_path / "0" / "0000.png"))
    assert zero[0, 0] > 200
    assert zero.min() < 60
