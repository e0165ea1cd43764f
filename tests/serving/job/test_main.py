import json
from pathlib import Path
from typing import Literal

import pytest
from pydantic import TypeAdapter

from serving.job import store
from serving.job.errors import UserError
from serving.job.main import run_job
from serving.job.spec import JobSpec, Spec


class AddSpec(JobSpec):
    kind: Literal["add"] = "add"
    left: int
    right: int


class Sum(Spec):
    value: int


ADAPTER: TypeAdapter[AddSpec] = TypeAdapter(AddSpec)


def add(spec: AddSpec) -> Sum:
    if spec.left < 0:
        raise UserError(f"left is {spec.left}: give 0 or more.")
    if spec.left > 100:
        raise RuntimeError("defect")
    return Sum(value=spec.left + spec.right)


def make_argv(folder: Path, left: object) -> list[str]:
    spec = {"output_uri": folder.as_uri(), "left": left, "right": 2}
    return ["--spec", json.dumps(spec)]


def test_outcome_is_written(tmp_path: Path) -> None:
    assert run_job(ADAPTER, add, make_argv(tmp_path, 1)) == 0
    assert json.loads((tmp_path / "outcome.json").read_text()) == {"value": 3}


def test_spec_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    file.write_text(make_argv(tmp_path, 1)[1])
    assert run_job(ADAPTER, add, ["--spec", file.as_uri()]) == 0


def test_user_error_is_64_with_the_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_job(ADAPTER, add, make_argv(tmp_path, -1)) == 64
    assert json.loads((tmp_path / "error.json").read_text()) == {
        "message": "left is -1: give 0 or more."
    }
    assert not (tmp_path / "outcome.json").exists()
    assert "left is -1" in capsys.readouterr().err


@pytest.mark.parametrize("left", ["many", None])
def test_bad_spec_is_64(tmp_path: Path, left: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_job(ADAPTER, add, make_argv(tmp_path, left)) == 64
    assert "left" in capsys.readouterr().err


def test_missing_spec_file_is_64(tmp_path: Path) -> None:
    assert run_job(ADAPTER, add, ["--spec", (tmp_path / "no.json").as_uri()]) == 64


def test_defect_escapes_and_leaves_no_outcome(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="defect"):
        run_job(ADAPTER, add, make_argv(tmp_path, 101))
    assert not list(tmp_path.iterdir())


def test_equal_specs_share_a_fingerprint(tmp_path: Path) -> None:
    first = AddSpec(output_uri="file:///a", left=1, right=2)
    assert first.fingerprint() == AddSpec(right=2, left=1, output_uri="file:///a").fingerprint()
    assert first.fingerprint() != AddSpec(right=2, left=2, output_uri="file:///a").fingerprint()


def test_store_is_told_apart_by_scheme() -> None:
    with pytest.raises(UserError, match="allowed are hdfs://HOST:PORT/PATH and file:///PATH"):
        store.open_store("s3://bucket/x")
