"""What the gateway says by itself, in the form of the API that was asked. Pure.

HAProxy chooses the text while it reads a request, and says it where the request has no other
answer. Where it cannot read the request's line and header, it says a page of its own, which no
configuration changes.
"""

from serving.apis.baidu import number_log
from serving.apis.error_forms import ERROR_FORMS, ErrorForm
from serving.request_errors import RETRY_SECONDS, RequestError, too_slow
from serving.request_ids import REQUEST_ID_HEADER, SANE

NO_SERVER = f"No model server could answer: try again in {RETRY_SECONDS} s."
_ID = "txn.request_id"
# Stands for the request's id until HAProxy knows it.
_MARK = "the-id-of-the-request"
# By what makes of it what the APIs make of it: EasyDL's log_id is zlib's CRC of the id.
_KNOWN_LATER = {
    _MARK: f"%[var({_ID})]",
    str(number_log(_MARK)): f"%[var({_ID}),crc32]",
}
_JSON = "content-type application/json hdr X-Content-Type-Options nosniff"


def list_errors(body_seconds: float) -> tuple[RequestError, ...]:
    """All that it says; errors of one code have one text. body_seconds: a body's time."""
    later = {"Retry-After": str(RETRY_SECONDS)}
    return (
        RequestError(
            400, "bad_request", "The request's body broke off, or its chunks cannot be read."
        ),
        too_slow(body_seconds),
        *(RequestError(status, "no_server", NO_SERVER, later) for status in (502, 503, 504)),
    )


def render_replies(body_seconds: float) -> list[str]:
    """Lines of a section: which text an error's status has, with the server's own headers."""
    lines = []
    for error in list_errors(body_seconds):
        headers = {REQUEST_ID_HEADER: f"%[var({_ID})]", **error.headers}
        written = " ".join(f"hdr {name} {value}" for name, value in headers.items())
        lines.append(
            f"http-error status {error.status} {_JSON} {written} lf-string {_name_text(error)}"
        )
    return lines


def render_choices(body_seconds: float) -> list[str]:
    """Lines of a frontend, before all that may fail: each request gets its id and its texts.

    The replica gets the id, too, so that an error without an answer is found in its log.
    """
    # The first header, whole: commas in it part nothing, and others are not looked at.
    lines = [
        f"http-request set-var({_ID}) req.fhdr({REQUEST_ID_HEADER},1)",
        f"http-request unset-var({_ID}) unless {{ var({_ID}) -m reg '^{SANE}$' }}",
        f"http-request set-var({_ID}) uuid() unless {{ var({_ID}) -m found }}",
        f"http-request set-header {REQUEST_ID_HEADER} %[var({_ID})]",
    ]
    texts = {error.code: error for error in list_errors(body_seconds)}
    # The first form that fits is the last that is set.
    for form in reversed(ERROR_FORMS):
        condition = _render_condition(form)
        lines += [
            f"http-request set-var-fmt(txn.{code}) {_quote(_render_text(form, error))}{condition}"
            for code, error in texts.items()
        ]
    return lines


def _name_text(error: RequestError) -> str:
    return f"%[var(txn.{error.code})]"


def _render_condition(form: ErrorForm) -> str:
    tests = [f"{{ method {form.method} }}"] if form.method else []
    if form.path:
        tests.append(f"{{ path,url_dec -m reg {_quote(form.path)} }}")
    return " ".join([" if", *tests]) if tests else ""


def _render_text(form: ErrorForm, error: RequestError) -> str:
    """An error's body as HAProxy's format: a percent sign begins what is known later."""
    text = form.word(error, _MARK).model_dump_json().replace("%", "%%")
    for mark, known in _KNOWN_LATER.items():
        text = text.replace(mark, known)
    return text


def _quote(text: str) -> str:
    """One word of HAProxy's configuration."""
    return "'" + text.replace("'", "'\\''") + "'"
