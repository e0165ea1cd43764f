"""Who may use the console's pages on a dataset: the session's cookie, and where a request is from.

SameSite keeps other sites' pages out, but a page on another port of this machine is the same site:
what changes anything must also come from the console's own origin, by the header that browsers set.
"""

from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from serving import environment
from serving.sessions import SESSION, Session, find_session, locate_sessions, redeem

COOKIE = "modelmill_review"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CLOSED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class RefusedError(Exception):
    """An answer that is no success: the HTTP status, a word for programs, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def answer_json(content: object, status: int = 200) -> JSONResponse:
    """JSON that no other origin's page can read, and no browser keeps."""
    headers = {**HEADERS, "Content-Security-Policy": CLOSED, "Cache-Control": "no-store"}
    return JSONResponse(content, status, headers)


def answer_refusal(error: RefusedError) -> JSONResponse:
    """The same for an error."""
    return answer_json({"error": {"code": error.code, "message": error.message}}, error.status)


def check_origin(request: Request) -> None:
    """RefusedError unless the console's own page asks. Host itself is checked by the app."""
    origin = urlsplit(request.headers.get("origin", ""))
    if origin.scheme not in ("http", "https") or origin.netloc != request.headers.get("host"):
        raise RefusedError(403, "origin", "Only the console's own page may ask for this.")


def open_session(dataset: str, token: str) -> Response:
    """Trade a token for the cookie; RefusedError where it opens nothing."""
    opened = redeem(locate_sessions(environment.home()), token, dataset)
    if opened is None:
        raise RefusedError(
            401, "session", "This address was used before, or is too old: ask for a new one."
        )
    cookie, session = opened
    answer = answer_json({"by": session.by})
    answer.set_cookie(
        COOKIE,
        cookie,
        max_age=int(SESSION.total_seconds()),
        path=f"/datasets/{dataset}",
        httponly=True,
        samesite="strict",
    )
    return answer


def check_session(request: Request, dataset: str) -> Session:
    """RefusedError where the request carries no session for this dataset."""
    cookie = request.cookies.get(COOKIE, "")
    session = find_session(locate_sessions(environment.home()), cookie, dataset)
    if session is None:
        raise RefusedError(401, "session", f"Open it with ./modelmill review --dataset {dataset}")
    return session
