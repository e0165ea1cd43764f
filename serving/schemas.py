"""What the model server accepts and answers, in its own API and in three that others made."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.bundle.operating_point import OperatingPoint

DEFAULT_TOP = 5
Base64 = Annotated[str, Field(description="The picture's bytes, base64")]
Score = Annotated[float, Field(ge=0, le=1)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ForeignMessage(BaseModel):
    """Others' clients may send fields that mean nothing here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PredictRequest(_Message):
    """A picture as JSON."""

    image: Base64
    top: int = Field(default=DEFAULT_TOP, ge=1, description="How many labels to answer")


class LabelScore(_Message):
    """One class; the scores of all classes sum to 1."""

    label: str
    score: Score


class AnsweringModel(_Message):
    """Which model gave this answer."""

    deployment: str
    version: int
    snapshot_id: str
    run_id: str


class ModelInfo(AnsweringModel):
    """The model that answers, and where it comes from. No operating point: it never declines."""

    task: str
    classes: tuple[str, ...]
    metrics: dict[str, float]
    dataset: str
    code_version: str
    backbone: str
    weights_licence: str
    created_at: str
    operating_point: OperatingPoint | None = None


class Prediction(_Message):
    """`results` are best first. `declined`: it looks like none of these, whatever comes first."""

    declined: bool = False
    results: tuple[LabelScore, ...]


class PredictResponse(Prediction):
    """The answer to one picture."""

    request_id: str
    model: AnsweringModel


class PredictManyResponse(_Message):
    """The answer to a list, or to a form of several files: one prediction each, in their order."""

    request_id: str
    predictions: tuple[Prediction, ...]
    model: AnsweringModel


class FeedbackRequest(_Message):
    """What a picture really shows; `picture` counts those of its request from 0."""

    request_id: str = Field(max_length=64)
    picture: int = Field(default=0, ge=0, le=10_000)
    label: str = Field(min_length=1, max_length=200)


class FeedbackResponse(_Message):
    """It was written down, for people to review."""

    request_id: str


class ErrorDetail(_Message):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    request_id: str


class ErrorResponse(_Message):
    """Every answer of the native API from 400 upwards."""

    error: ErrorDetail


class Health(_Message):
    """The server answers only once its model is loaded; "draining": it takes nothing new."""

    status: Literal["ok", "draining"] = "ok"
    deployment: str
    version: int


class Liveness(_Message):
    """The process runs."""

    status: Literal["alive"] = "alive"


class EasyDLRequest(_ForeignMessage):
    """EasyDL's on-premises request."""

    image: Base64
    top_num: int = Field(default=DEFAULT_TOP, ge=1, description="How many labels to answer")


class EasyDLResult(_Message):
    """One class."""

    name: str
    score: Score


class EasyDLResponse(_Message):
    """`results` are best first."""

    log_id: int
    results: tuple[EasyDLResult, ...]


class EasyDLError(_Message):
    """Every answer of this API from 400 upwards."""

    log_id: int
    error_code: int
    error_msg: str


class EasyEdgeRequest(_ForeignMessage):
    """A picture as JSON; raw bytes do as well."""

    image: Base64


class EasyEdgeResult(_Message):
    """One class; `index` counts the bundle's classes from 0."""

    confidence: Score
    index: int
    label: str


class EasyEdgeResponse(_Message):
    """Classes whose confidence reaches the threshold, best first."""

    cost_ms: float
    error_code: Literal[0] = 0
    results: tuple[EasyEdgeResult, ...]


class EasyEdgeError(_Message):
    """Every answer of this API from 400 upwards."""

    cost_ms: float = 0.0
    error_code: int
    error_msg: str


class ServerMetadata(_Message):
    """Open Inference Protocol: the server."""

    name: str
    version: str
    extensions: tuple[str, ...]


class TensorMetadata(_Message):
    """Open Inference Protocol: one input or output; -1 is any number."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(_Message):
    """Open Inference Protocol: the model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]


class InferInput(_ForeignMessage):
    """A tensor; its elements are in `data`, or behind the JSON where binary_data_size is given."""

    name: str
    shape: Annotated[tuple[Annotated[int, Field(ge=0, le=2**31)], ...], Field(max_length=8)]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class InferRequestedOutput(_ForeignMessage):
    """An output that is wanted."""

    name: str
    parameters: dict[str, Any] = {}


class InferRequest(_ForeignMessage):
    """Open Inference Protocol: what is asked."""

    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: tuple[InferInput, ...]
    outputs: tuple[InferRequestedOutput, ...] = ()


class InferOutput(_Message):
    """A tensor of the answer; without `data` its elements stand behind the JSON."""

    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, int] | None = None
    data: list[float] | list[str] | None = None


class InferResponse(_Message):
    """Open Inference Protocol: the answer."""

    id: str | None = None
    model_name: str
    model_version: str
    outputs: tuple[InferOutput, ...]


class InferError(_Message):
    """Every answer of this API from 400 upwards."""

    error: str
