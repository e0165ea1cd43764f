"""The review page of a dataset, and what its script asks for."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment
from pydantic import BaseModel, ConfigDict, Field

from serving.bundle.codec import BadImageError
from serving.console.access import (
    CLOSED,
    HEADERS,
    RefusedError,
    answer_json,
    check_origin,
    check_session,
    open_session,
)
from serving.console.pictures import read_content, read_row, render_picture
from serving.content_policy import hash_inline
from serving.job.errors import UserError
from serving.job.labels import MAX_LABEL, NewClassError, read_task
from serving.job.review_decisions import decide, find_item, undo_decision
from serving.job.reviews import Place, ReviewItem, Verdict, list_reviews
from serving.job.samples import read_sample
from serving.job.spec import NAME_PATTERN

PAGE = 40
LARGE, SMALL = 1400, 200
SHA256 = r"^[0-9a-f]{64}$"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AskedSession(_Asked):
    """The token out of the address."""

    token: str = Field(max_length=200)


class AskedDecision(_Asked):
    """What a person pressed. label: of a relabelling; new_class: they said that it is one."""

    sha256: str = Field(pattern=SHA256)
    verdict: Verdict
    # Several labels stand in one string.
    label: str = Field(default="", max_length=50 * MAX_LABEL)
    new_class: bool = False


class AskedUndo(_Asked):
    """Which item."""

    sha256: str = Field(pattern=SHA256)


def show_page(templates: Environment, dataset: str, template: str) -> HTMLResponse:
    """The page: without a session it shows nothing of the dataset, only how to get one."""
    page = templates.get_template(template).render(dataset=dataset)
    policy = (
        f"default-src 'none'; script-src {hash_inline(page, 'script')}; "
        f"style-src {hash_inline(page, 'style')}; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {**HEADERS, "Content-Security-Policy": policy, "Cache-Control": "no-cache"}
    return HTMLResponse(page, headers=headers)


def show_item(item: ReviewItem) -> dict[str, Any]:
    """An item as the page takes it."""
    # JSON has no NaN, and one such score must not close the whole queue.
    scores = [(name, score) for name, score in item.scores if math.isfinite(score)]
    return item.model_dump(mode="json", exclude={"trail", "dataset", "scores"}) | {"scores": scores}


def list_items(database: Any, dataset: str, after: Place | None) -> dict[str, Any]:
    """A page of the queue, and what a label may be."""
    found = list_reviews(database, dataset, after, PAGE)
    document = database["datasets"].find_one({"_id": dataset}) or {}
    return {
        "items": [show_item(one) for one in found.items],
        "open": found.open,
        "is_last": len(found.items) < PAGE,
        "classes": list(document.get("classes", ())),
        "task": read_task(database, dataset),
    }


def _read_picture(database: Any, dataset: str, sha256: str) -> bytes:
    """Of a sample, or of a served picture that waits; KeyError where it is neither."""
    try:
        return read_content(read_sample(database, dataset, sha256))
    except KeyError:
        served = find_item(database, dataset, sha256).served
        if served is None:
            raise
        return read_row(served.segment, sha256)


def show_picture(database: Any, dataset: str, sha256: str, side: int) -> Response:
    """A picture of the dataset; RefusedError where it cannot be shown."""
    try:
        content = _read_picture(database, dataset, sha256)
        picture = render_picture(content, side)
    except (KeyError, FileNotFoundError):
        raise RefusedError(404, "missing", "Its bytes are not there any more.") from None
    except BadImageError as error:
        raise RefusedError(415, "picture", f"It cannot be shown: {error}.") from None
    # The bytes of a sha256 never change; a purge must not be outlived for long.
    headers = {
        **HEADERS,
        "Content-Security-Policy": CLOSED,
        "Cache-Control": "private, max-age=600",
    }
    return Response(picture, media_type="image/jpeg", headers=headers)


def change_item(change: Callable[[], ReviewItem]) -> Response:
    """Do it, and answer with the item; RefusedError with the sentence where it cannot be."""
    try:
        return answer_json(show_item(change()))
    except NewClassError as error:
        text = f"{error.label!r} is no class of this dataset yet.{error.hint}"
        raise RefusedError(409, "new_class", text) from None
    except UserError as error:
        raise RefusedError(409, "conflict", str(error)) from None
    except KeyError:
        raise RefusedError(404, "missing", "It is not in the queue any more.") from None


def make_router(templates: Environment, database: Callable[[], Any]) -> APIRouter:
    """Routes below /datasets/{name}."""
    router = APIRouter(prefix="/datasets/{name}")

    @router.get("/review")
    def review(name: str) -> HTMLResponse:
        if not re.fullmatch(NAME_PATTERN, name):
            raise RefusedError(404, "missing", "No dataset has such a name.")
        return show_page(templates, name, "review.html")

    @router.post("/session")
    def enter(name: str, request: Request, asked: AskedSession) -> Response:
        check_origin(request)
        return open_session(name, asked.token)

    @router.get("/session")
    def whoami(name: str, request: Request) -> Response:
        return answer_json({"by": check_session(request, name).by})

    @router.get("/review/items")
    def items(
        name: str,
        request: Request,
        suspicion: Annotated[float | None, Query()] = None,
        sha256: Annotated[str, Query(pattern=r"^[0-9a-f]{0,64}$")] = "",
    ) -> Response:
        check_session(request, name)
        after = None if suspicion is None else Place(suspicion, sha256)
        return answer_json(list_items(database(), name, after))

    @router.post("/review/decision")
    def decision(name: str, request: Request, asked: AskedDecision) -> Response:
        check_origin(request)
        by = check_session(request, name).by
        return change_item(
            lambda: decide(
                database(),
                name,
                asked.sha256,
                asked.verdict,
                asked.label,
                by=by,
                new_class=asked.new_class,
            )
        )

    @router.post("/review/undo")
    def undo(name: str, request: Request, asked: AskedUndo) -> Response:
        check_origin(request)
        by = check_session(request, name).by
        return change_item(lambda: undo_decision(database(), name, asked.sha256, by))

    @router.get("/pictures/{sha256}")
    def picture(name: str, sha256: str, request: Request, *, small: bool = False) -> Response:
        check_session(request, name)
        if not re.fullmatch(SHA256, sha256):
            raise RefusedError(404, "missing", "No picture has such a name.")
        return show_picture(database(), name, sha256, SMALL if small else LARGE)

    return router
