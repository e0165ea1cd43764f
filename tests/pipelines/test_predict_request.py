"""The form of a batch prediction → its job's spec."""

import pytest

from pipelines.artifacts import Artifacts
from pipelines.form import FormError, read_form
from pipelines.predict_request import PredictRequest, predict_spec

ARTIFACTS = Artifacts(hdfs="hdfs://h:1", scratch="file:///scratch")


def make(**values: object) -> PredictRequest:
    return read_form(PredictRequest, {"deployment": "herbs", **values})


def test_answers_go_where_nothing_was_said() -> None:
    spec = predict_spec(
        make(folder="hdfs://h:1/a 🌿"), ARTIFACTS, run_id="one", output_uri="file:///o"
    )
    assert (spec.folder_uri, spec.raw_uri, spec.version) == ("hdfs://h:1/a 🌿", "", 0)
    assert spec.target_uri == "hdfs://h:1/modelmill/predictions/herbs/one"


def test_dataset_is_read_from_its_segments() -> None:
    request = make(dataset="boards", output="hdfs://h:1/mine", version=3)
    spec = predict_spec(request, ARTIFACTS, run_id="one", output_uri="file:///o")
    assert (spec.raw_uri, spec.target_uri) == ("hdfs://h:1/modelmill/raw/boards", "hdfs://h:1/mine")
    assert (spec.version, spec.request_id) == (3, "one")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "give either folder"),
        ({"folder": "hdfs://h:1/a", "dataset": "boards"}, "give either folder"),
        ({"folder": "/home/me"}, "without a password"),
        ({"folder": "hdfs://me:secret@h:1/a"}, "without a password"),
    ],
)
def test_wrong_form_is_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(FormError, match=sentence):
        make(**values)
