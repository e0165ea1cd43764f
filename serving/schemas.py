"""What the model server accepts and answers."""

from pydantic import BaseModel, ConfigDict, Field

DEFAULT_TOP = 5


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictRequest(_Message):
    """A picture as JSON."""

    image: str = Field(description="The picture's bytes, base64")
    top: int = Field(default=DEFAULT_TOP, ge=1, description="How many labels to answer")


class LabelScore(_Message):
    """One class; the scores of all classes sum to 1."""

    label: str
    score: float = Field(ge=0, le=1)


class ModelInfo(_Message):
    """The model that answers, and where it comes from."""

    deployment: str
    version: int
    task: str
    classes: tuple[str, ...]
    metrics: dict[str, float]
    dataset: str
    snapshot_id: str
    run_id: str
    code_version: str
    backbone: str
    weights_licence: str
    created_at: str


class AnsweringModel(_Message):
    """Which model gave this answer."""

    deployment: str
    version: int
    snapshot_id: str
    run_id: str


class PredictResponse(_Message):
    """`results` are best first. `declined`: the model would rather not say."""

    request_id: str
    declined: bool = False
    results: tuple[LabelScore, ...]
    model: AnsweringModel


class ErrorDetail(_Message):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    request_id: str


class ErrorResponse(_Message):
    """Every answer from 400 upwards."""

    error: ErrorDetail


class Health(_Message):
    """The server answers only once its model is loaded."""

    status: str = "ok"
    deployment: str
    version: int
