"""What the job that answers a folder or a dataset on HDFS accepts and answers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from serving.job.spec import JobSpec, Name, Spec

# In the folder of the answers; Spark and pyarrow take names that begin so for no data.
SUMMARY_FILE = "_summary.json"


class PredictSpec(JobSpec):
    """Answer every picture below folder_uri, or every active sample of a dataset.

    version 0: the one in service. raw_uri: the dataset's segments. target_uri: a folder that is not
    there yet. request_id: the same in every attempt of one request, so that none is done twice.
    """

    kind: Literal["predict"] = "predict"
    deployment: Name
    version: int = Field(default=0, ge=0)
    folder_uri: str = ""
    dataset: str = ""
    raw_uri: str = ""
    target_uri: str
    request_id: str

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        if bool(self.folder_uri) == bool(self.dataset):
            raise ValueError("give either folder_uri or dataset")
        return self


class PredictOutcome(Spec):
    """files == predicted + failed; declined is a part of predicted.

    decline_below: the score below which a picture is declined; 0: none is, as in summaries of
    before, or each class has its own threshold. classes: in the order of the column `scores`.
    """

    deployment: str
    version: int
    files: int
    predicted: int
    declined: int = 0
    decline_below: float = 0.0
    failed: int
    classes: tuple[str, ...]
    target_uri: str
    request_id: str
    seconds: float
