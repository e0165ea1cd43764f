"""One picture out of a request's body: raw bytes, a form's file or base64 in JSON."""

import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from serving.schemas import DEFAULT_TOP, PredictRequest

MAX_BODY_BYTES = 20 * 2**20
ACCEPTED = "image/*, application/octet-stream, multipart/form-data or application/json"


class RequestError(Exception):
    """The caller can mend this: HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Question:
    """What was asked: the picture's bytes and how many labels to answer."""

    picture: bytes
    top: int


async def read_question(request: Request) -> Question:
    """Read the request, at most MAX_BODY_BYTES of it; raises RequestError."""
    kind = request.headers.get("content-type", "application/octet-stream").split(";")[0]
    kind = kind.strip().lower()
    top = _parse_top(request.query_params.get("top"))
    if kind == "application/json":
        return _parse_json(await _read_body(request), top)
    if kind == "multipart/form-data":
        return Question(await _parse_form(request), top)
    # The second is what curl --data-binary says of any file.
    binary = ("application/octet-stream", "application/x-www-form-urlencoded")
    if kind in binary or kind.startswith("image/"):
        return Question(await _read_body(request), top)
    raise RequestError(
        415,
        "unsupported_media_type",
        f"Content-Type {kind!r} is not taken: send {ACCEPTED}. With curl: "
        "--data-binary @photo.jpg -H 'Content-Type: application/octet-stream'.",
    )


def _parse_top(value: str | None) -> int:
    if value is None:
        return DEFAULT_TOP
    if not (value.isascii() and value.isdigit() and len(value) < 9 and int(value) > 0):
        raise RequestError(400, "bad_top", f"top={value!r}: give a whole number from 1.")
    return int(value)


def _too_large() -> RequestError:
    limit = MAX_BODY_BYTES // 2**20
    return RequestError(413, "too_large", f"The request is larger than {limit} MiB.")


async def _stream(request: Request) -> AsyncGenerator[bytes, None]:
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise _too_large()
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise _too_large()
        yield chunk


async def _read_body(request: Request) -> bytes:
    body = b"".join([chunk async for chunk in _stream(request)])
    if not body:
        raise RequestError(400, "empty", "The request has no body: send the picture's bytes.")
    return body


async def _parse_form(request: Request) -> bytes:
    parser = MultiPartParser(request.headers, _stream(request), max_files=8, max_fields=8)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise RequestError(400, "bad_form", f"The form cannot be read: {error}") from None
    async with _closing(form.multi_items()) as files:
        if len(files) != 1:
            raise RequestError(
                400,
                "one_file",
                f"The form holds {len(files)} files: send one picture a request, "
                "with curl: -F file=@photo.jpg",
            )
        return await files[0].read()


class _closing:  # noqa: N801  (named like contextlib's)
    """The uploaded files of a form; closed at the end, whatever happens."""

    def __init__(self, items: list[tuple[str, UploadFile | str]]) -> None:
        self._files = [value for _, value in items if isinstance(value, UploadFile)]

    async def __aenter__(self) -> list[UploadFile]:
        return self._files

    async def __aexit__(self, *_: object) -> None:
        for file in self._files:
            await file.close()


def _parse_json(body: bytes, top: int) -> Question:
    try:
        asked = PredictRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise RequestError(
            400,
            "bad_json",
            f'{where}: {first["msg"]}. Send {{"image": "<base64>", "top": 5}}, top if you like.',
        ) from None
    try:
        picture = base64.b64decode(asked.image, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError(400, "bad_base64", "image is not base64.") from None
    if not picture:
        raise RequestError(400, "empty", "image is empty.")
    return Question(picture, asked.top if "top" in asked.model_fields_set else top)
