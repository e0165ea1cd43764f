"""A request's body, within the limits: bytes, a form's files, or JSON."""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from serving.limits import Limits
from serving.request_errors import RequestError, busy, too_slow

RAW = "application/octet-stream"
JSON = "application/json"
FORM = "multipart/form-data"
# What curl --data-binary says of any file.
CURL = "application/x-www-form-urlencoded"
NAME_CHARACTERS = 80
Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Upload:
    """One picture as it came; name is the caller's, for messages only."""

    data: bytes
    name: str = ""


def find_kind(request: Request) -> str:
    """The Content-Type without its parameters; raw bytes where there is none."""
    given = request.headers.get("content-type", RAW).split(";")[0].strip().lower()
    return given or RAW


def read_length(headers: Mapping[str, str]) -> int | None:
    """Bytes that a body is said to have; None where that is not said."""
    declared = headers.get("content-length", "")
    return int(declared) if declared.isdigit() else None


def is_raw(kind: str) -> bool:
    """Whether a body of this Content-Type is taken for a picture's bytes."""
    return kind in (RAW, CURL) or kind.startswith("image/")


def refuse_kind(kind: str, accepted: str) -> RequestError:
    """The error for a Content-Type that an API does not take."""
    return RequestError(
        415,
        "unsupported_media_type",
        f"Content-Type {kind[:NAME_CHARACTERS]!r} is not taken: send {accepted}. With curl: "
        "--data-binary @photo.jpg -H 'Content-Type: application/octet-stream'.",
    )


class Intake:
    """Counts what all requests together hold, and reads their bodies."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._readers = 0
        self._held = 0

    @asynccontextmanager
    async def open(self, request: Request) -> AsyncIterator["Body"]:
        """The body of one request; its bytes count until the end of the block."""
        if self._readers >= self._limits.max_readers:
            raise busy(f"{self._readers} requests are open")
        self._readers += 1
        body = Body(request, self._limits, self)
        try:
            yield body
        except ClientDisconnect:
            raise RequestError(400, "disconnected", "The caller left.") from None
        finally:
            self._readers -= 1
            self._held -= body.held

    def hold(self, size: int) -> None:
        """Count bytes in; raises RequestError where all of them would be too many."""
        if self._held + size > self._limits.max_bytes_held:
            raise busy("Too many large requests are open")
        self._held += size


class Body:
    """One request's body; every method may be called once and raises RequestError."""

    def __init__(self, request: Request, limits: Limits, intake: Intake) -> None:
        self.request, self.held = request, 0
        self._limits, self._intake = limits, intake

    def _too_large(self) -> RequestError:
        limit = self._limits.max_body_bytes / 2**20
        return RequestError(413, "too_large", f"The request is larger than {limit:.3g} MiB.")

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        headers = self.request.headers
        encoding = headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise RequestError(
                415,
                "unsupported_encoding",
                f"Content-Encoding {encoding[:NAME_CHARACTERS]!r} is not taken: send the bytes "
                "as they are.",
            )
        declared = read_length(headers)
        if declared is not None and declared > self._limits.max_body_bytes:
            raise self._too_large()
        async for chunk in self.request.stream():
            self._intake.hold(len(chunk))
            self.held += len(chunk)
            if self.held > self._limits.max_body_bytes:
                raise self._too_large()
            yield chunk

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                yield
        except TimeoutError:
            raise too_slow(self._limits.body_seconds) from None

    async def read(self) -> bytes:
        """All of it, at least one byte."""
        async with self._in_time():
            body = b"".join([chunk async for chunk in self._stream()])
        if not body:
            raise RequestError(400, "empty", "The request has no body: send the picture's bytes.")
        return body

    async def read_files(self) -> list[Upload]:
        """A form's files in their order, at least one."""
        parser = MultiPartParser(
            self.request.headers,
            self._stream(),
            max_files=self._limits.max_pictures,
            max_fields=self._limits.max_parts,
        )
        # In memory, where they are counted: a container's /tmp is small.
        parser.spool_max_size = self._limits.max_body_bytes
        try:
            async with self._in_time():
                form = await parser.parse()
            uploads = [
                Upload(await value.read(), value.filename or "")
                for _, value in form.multi_items()
                if isinstance(value, UploadFile)
            ]
        except (RequestError, ClientDisconnect):
            raise
        except MultiPartException as error:
            raise RequestError(
                400, "bad_form", f"The form cannot be read: {error.message}"
            ) from None
        except Exception as error:  # noqa: BLE001 - the parser leaks what broken bytes raise
            raise RequestError(400, "bad_form", f"The form cannot be read: {error}") from None
        finally:
            # A form that ends too early leaves the file open that it had begun.
            for file in parser._files_to_close_on_error:
                file.close()
        if not uploads:
            raise RequestError(
                400, "no_file", "The form holds no file: with curl, -F file=@photo.jpg sends one."
            )
        return uploads


def parse_json(body: bytes, adapter: TypeAdapter[Parsed], example: str) -> Parsed:
    """Bytes → model; raises RequestError, which says where it is wrong."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:NAME_CHARACTERS] or "the body"
        message = f"{where}: {first['msg']}. Send {example}."
        raise RequestError(400, "bad_json", message) from None


def decode_base64(value: str, where: str = "image") -> bytes:
    """A picture's bytes; raises RequestError."""
    try:
        # As many clients break its lines.
        picture = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        hint = " Leave out what stands before the comma." if value.startswith("data:") else ""
        raise RequestError(400, "bad_base64", f"{where} is not base64.{hint}") from None
    if not picture:
        raise RequestError(400, "empty", f"{where} is empty.")
    return picture
