"""What the jobs that answer without a server accept and answer."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from serving.job.spec import JobSpec, Name, Spec

DEFAULT_TOP = 3
# How answers are written, by the file's ending.
AnswerFormat = Literal["csv", "jsonl"]


class PredictFolderSpec(JobSpec):
    """Answer every picture below folder_uri, a local folder, in one file.

    version 0: the one in service. top: labels a picture. min_score: below it a picture counts as
    none of the classes. cores 0: all that the job may use. force: the file may be there already.
    """

    kind: Literal["predict_folder"] = "predict_folder"
    deployment: Name
    version: int = Field(default=0, ge=0)
    folder_uri: str
    target_uri: str
    format: AnswerFormat
    top: int = Field(default=DEFAULT_TOP, ge=1)
    min_score: float = Field(default=0.0, ge=0, le=1)
    cores: int = Field(default=0, ge=0)
    force: bool = False


class PredictFolderOutcome(Spec):
    """files == predicted + unreadable; declined is a part of predicted. seconds: of the work."""

    deployment: str
    version: int
    files: int
    predicted: int
    declined: int
    unreadable: int
    seconds: float
    target_uri: str


OfflineSpec = Annotated[PredictFolderSpec, Field()]
OFFLINE_SPEC: TypeAdapter[OfflineSpec] = TypeAdapter(OfflineSpec)
