"""PredictRequest: the form of a batch prediction on HDFS."""

from typing import Self

from pydantic import Field, JsonValue, model_validator

from pipelines.artifacts import Artifacts
from pipelines.form_base import Form, Name, NameOrEmpty
from spark_jobs.predict_spec import PredictSpec

PREDICT_DAG = "modelmill_predict"
PREDICT_TASK = "predict"
# No user:password@: what stands in a form is stored and shown.
_HDFS = r"^(hdfs://[^@/:]+(:[0-9]+)?/[^?#]*)?$"
_RULE: dict[str, JsonValue] = {"rule": "empty, or hdfs://HOST:PORT/PATH without a password"}


class PredictRequest(Form):
    """What a person chooses for one batch prediction: who answers, what, and where it goes."""

    deployment: Name = Field(
        title="Deployment",
        description="Name under which the model is served.",
    )
    version: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        title="Version",
        description="Which one answers. 0: the one in service.",
    )
    folder: str = Field(
        default="",
        pattern=_HDFS,
        title="Folder",
        description="Folder on HDFS; every file below it is answered.",
        json_schema_extra=_RULE,
    )
    dataset: NameOrEmpty = Field(
        default="",
        title="Dataset",
        description="Instead of a folder: the active samples of this dataset.",
    )
    output: str = Field(
        default="",
        pattern=_HDFS,
        title="Answers",
        description=(
            "Folder on HDFS that is not there yet. Empty: one in /modelmill/predictions/, named "
            "after the deployment and the run."
        ),
        json_schema_extra=_RULE,
    )

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if bool(self.folder) == bool(self.dataset):
            raise ValueError("give either folder, hdfs://HOST:PORT/PATH, or dataset.")
        return self


def predict_spec(
    request: PredictRequest, artifacts: Artifacts, *, run_id: str, output_uri: str
) -> PredictSpec:
    """The job that does it; run_id: the same for every attempt."""
    return PredictSpec(
        output_uri=output_uri,
        deployment=request.deployment,
        version=request.version,
        folder_uri=request.folder,
        dataset=request.dataset,
        raw_uri=artifacts.raw(request.dataset) if request.dataset else "",
        target_uri=request.output or artifacts.predictions(request.deployment, run_id),
        request_id=run_id,
    )
