"""What the model server accepts and answers, in its own API and in Baidu's two."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.bundle.operating_point import OperatingPoint

DEFAULT_TOP = 5
# Characters: of a class's name, and of all names that one feedback may say.
MAX_LABEL, MAX_LABELS = 200, 10_000
Base64 = Annotated[str, Field(description="The picture's bytes, base64")]
Score = Annotated[float, Field(ge=0, le=1)]


class Message(BaseModel):
    """Ours, to the letter."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ForeignMessage(BaseModel):
    """Others' clients may send fields that mean nothing here."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PredictRequest(Message):
    """A picture as JSON."""

    image: Base64
    top: int = Field(default=DEFAULT_TOP, ge=1, description="How many labels to answer")


class LabelScore(Message):
    """One class and its probability.

    Those of all classes sum to 1; where a picture may show several, each is one of its own.
    """

    label: str
    score: Score


class AnsweringModel(Message):
    """Which model gave this answer."""

    deployment: str
    version: int
    snapshot_id: str
    run_id: str


class ModelInfo(AnsweringModel):
    """The model that answers, and where it comes from. No operating point: it never declines.

    thresholds: where a picture may show several classes, the probability from which each is said;
    above 1: it never is.
    """

    task: str
    classes: tuple[str, ...]
    metrics: dict[str, float]
    dataset: str
    code_version: str
    backbone: str
    weights_licence: str
    created_at: str
    operating_point: OperatingPoint | None = None
    thresholds: dict[str, float] | None = None


class Prediction(Message):
    """`labels`: what the picture shows, best first; `results`: the best classes, said or not.

    `declined`: it looks like none of these, so there is no label, whatever comes first.
    """

    declined: bool = False
    # Servers of before name none.
    labels: tuple[str, ...] = ()
    results: tuple[LabelScore, ...]

    @property
    def said(self) -> tuple[LabelScore, ...]:
        """Those results that are among the labels."""
        return tuple(one for one in self.results if one.label in self.labels)


class PredictResponse(Prediction):
    """The answer to one picture."""

    request_id: str
    model: AnsweringModel


class PredictManyResponse(Message):
    """The answer to a list, or to a form of several files: one prediction each, in their order."""

    request_id: str
    predictions: tuple[Prediction, ...]
    model: AnsweringModel


class FeedbackRequest(Message):
    """What a picture really shows; `picture` counts those of its request from 0.

    label: several are written as `a|b`, in any order, where the model knows several a picture.
    """

    request_id: str = Field(max_length=64)
    picture: int = Field(default=0, ge=0, le=10_000)
    label: str = Field(min_length=1, max_length=MAX_LABELS)


class FeedbackResponse(Message):
    """It was written down, for people to review."""

    request_id: str


class ErrorDetail(Message):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    request_id: str


class ErrorResponse(Message):
    """Every answer of the native API from 400 upwards."""

    error: ErrorDetail


class Health(Message):
    """The server answers only once its model is loaded; "draining": it takes nothing new."""

    status: Literal["ok", "draining"] = "ok"
    deployment: str
    version: int


class Liveness(Message):
    """The process runs."""

    status: Literal["alive"] = "alive"


class EasyDLRequest(ForeignMessage):
    """EasyDL's on-premises request."""

    image: Base64
    top_num: int = Field(default=DEFAULT_TOP, ge=1, description="How many labels to answer")


class EasyDLResult(Message):
    """One class."""

    name: str
    score: Score


class EasyDLResponse(Message):
    """`results` are best first; where a picture may show several classes, those that it shows."""

    log_id: int
    results: tuple[EasyDLResult, ...]


class EasyDLError(Message):
    """Every answer of this API from 400 upwards."""

    log_id: int
    error_code: int
    error_msg: str


class EasyEdgeRequest(ForeignMessage):
    """A picture as JSON; raw bytes do as well."""

    image: Base64


class EasyEdgeResult(Message):
    """One class; `index` counts the bundle's classes from 0."""

    confidence: Score
    index: int
    label: str


class EasyEdgeResponse(Message):
    """Classes whose confidence reaches the threshold, best first."""

    cost_ms: float
    error_code: Literal[0] = 0
    results: tuple[EasyEdgeResult, ...]


class EasyEdgeError(Message):
    """Every answer of this API from 400 upwards."""

    cost_ms: float = 0.0
    error_code: int
    error_msg: str
