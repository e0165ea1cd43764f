"""What one server takes on: sizes, times and queues, set by MODELMILL_SERVE_* variables."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serving.bundle.codec import MAX_PIXELS

PREFIX = "MODELMILL_SERVE_"


class LimitsError(ValueError):
    """A MODELMILL_SERVE_* variable that cannot be used; the text names it."""


class Limits(BaseModel):
    """Each field is the variable MODELMILL_SERVE_<FIELD>."""

    model_config = ConfigDict(frozen=True)

    max_body_bytes: int = Field(default=20 * 2**20, ge=1024, description="Bytes of one request")
    # All bodies that are being read or wait for their answer: so many fit in the memory.
    max_bytes_held: int = Field(default=256 * 2**20, ge=1024, description="Bytes of all requests")
    max_pixels: int = Field(
        default=MAX_PIXELS, ge=1, le=MAX_PIXELS, description="Pixels of one picture"
    )
    max_pictures: int = Field(default=32, ge=1, description="Pictures in one request")
    max_parts: int = Field(default=64, ge=1, description="Parts of one form")
    # Enough for every client that a core can answer within half a second; more would only wait.
    max_queue: int = Field(default=32, ge=1, description="Pictures in work, for each core")
    max_queue_seconds: float = Field(
        default=5.0, gt=0, description="Seconds that a picture may be expected to wait"
    )
    # On a CPU a larger batch costs as much a picture, and leaves the processor's caches.
    max_batch: int = Field(default=4, ge=1, description="Pictures that the network sees at once")
    max_wait_ms: float = Field(
        default=2.0, ge=0, description="Milliseconds that a decoded picture may wait for others"
    )
    max_readers: int = Field(default=256, ge=1, description="Requests being read at once")
    header_seconds: float = Field(default=10.0, gt=0, description="Seconds for a request's header")
    body_seconds: float = Field(default=30.0, gt=0, description="Seconds for a request's body")
    answer_seconds: float = Field(
        default=10.0, gt=0, description="Seconds in the queue and in work"
    )
    drain_seconds: float = Field(
        default=0.5, ge=0, description="Seconds between 'not ready' and closing the door"
    )


def read_limits(environment: Mapping[str, str]) -> Limits:
    """Read MODELMILL_SERVE_* variables; raises LimitsError."""
    given = {
        name: environment[PREFIX + name.upper()]
        for name in Limits.model_fields
        if environment.get(PREFIX + name.upper())
    }
    try:
        return Limits.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise LimitsError(f"{name}={first['input']!r} cannot be used: {first['msg']}") from None
