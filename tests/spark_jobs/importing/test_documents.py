"""Values of documents: what is no extended JSON is a text, and no path is a rejection."""

from pathlib import Path

import pytest

from spark_jobs.importing.documents import parse_value, read_path
from spark_jobs.importing.source import RefusedFileError


@pytest.mark.parametrize(
    "text",
    [
        "{a label in braces}",
        '{"$binary": {}}',
        '{"$oid": "1"}',
        '{"$numberDecimal": "many"}',
        '{"$date": {"$numberLong": "999999999999999999"}}',
        "[" * 100_000,
    ],
)
def test_what_only_looks_like_extended_json_stays_a_text(text: str) -> None:
    assert isinstance(parse_value(text), str | dict)


@pytest.mark.parametrize("place", ["//[cam1]/a.jpg", "/a\0b.png"])
def test_no_path_is_a_rejection(import_root: Path, place: str) -> None:
    with pytest.raises(RefusedFileError, match="is no path"):
        read_path(place)
