"""Too little to learn from: told before anything is written."""

from pathlib import Path
from typing import Any

import pytest

from serving.job import store
from serving.job.errors import UserError
from spark_jobs.importing.job import run_import
from spark_jobs.spec import ImportSpec
from tests.spark_jobs.tiny import make_picture


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a/1.png": make_picture(0, 0)}, "holds a single class, 'a'. At least two classes"),
        ({"a/.hidden": b"", "b/.hidden": b""}, "holds no pictures (class folders: 2)"),
        ({"t.csv": b"file,label\n"}, "holds no pictures (table t.csv: picture from 'file'"),
        (
            {"t.csv": b"file,label\n1.png,a\n2.png,a\n", "1.png": make_picture(0, 0)},
            "holds a single class, 'a'. At least two classes",
        ),
        ({"t.csv": b"file,label\n1.png,\n"}, "holds no class. At least two classes"),
        ({}, "is empty."),
    ],
)
def test_what_cannot_be_a_dataset(
    spec: ImportSpec, import_root: Path, database: Any, files: dict[str, bytes], words: str
) -> None:
    for name, content in files.items():
        (import_root / name).parent.mkdir(exist_ok=True)
        (import_root / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        run_import(spec)
    assert words in str(raised.value)
    assert database["datasets"].find_one({"_id": spec.dataset}) is None
    assert store.list_names(spec.raw_uri) == []
