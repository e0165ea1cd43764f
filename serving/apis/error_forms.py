"""Whose form an error has, and how that API words it.

Only patterns and models: the gateway, which is no web server, says its own errors by them, too.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from serving.apis.baidu import number_error, number_log
from serving.apis.tensor_schemas import InferError
from serving.request_errors import RequestError
from serving.schemas import EasyDLError, EasyEdgeError, ErrorDetail, ErrorResponse, Message


class ErrorForm(NamedTuple):
    """One API's: method and path, decoded, of the requests whose errors it words.

    path: a regular expression that Python's `re` and PCRE read alike; method: any, where empty.
    word: the error and the request's id → the answer's body.
    """

    method: str
    path: str
    word: Callable[[RequestError, str], Message]


def _word_easydl(error: RequestError, request_id: str) -> Message:
    return EasyDLError(
        log_id=number_log(request_id), error_code=number_error(error), error_msg=error.message
    )


def _word_easyedge(error: RequestError, _request_id: str) -> Message:
    return EasyEdgeError(error_code=number_error(error), error_msg=error.message)


def _word_open_inference(error: RequestError, _request_id: str) -> Message:
    return InferError(error=error.message)


def _word_native(error: RequestError, request_id: str) -> Message:
    detail = ErrorDetail(code=error.code, message=error.message, request_id=request_id)
    return ErrorResponse(error=detail)


# The first that fits; the native one words the errors of all paths that no other owns.
ERROR_FORMS = (
    ErrorForm("", "/ImageClassification$", _word_easydl),
    ErrorForm("POST", "^/$", _word_easyedge),
    ErrorForm("", "^/v2(/|$)", _word_open_inference),
    ErrorForm("", "", _word_native),
)


def find_form(method: str, path: str) -> ErrorForm:
    """The form of an error on this path."""
    return next(
        form
        for form in ERROR_FORMS
        if form.method in ("", method) and re.search(form.path, path) is not None
    )
