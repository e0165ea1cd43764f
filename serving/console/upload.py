"""The upload page of a dataset, and what its script sends."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment

from serving import environment
from serving.console.access import RefusedError, answer_json, check_origin, check_session
from serving.console.airflow import read_import, start_import
from serving.console.review import show_page
from serving.console.uploads import MAX_BYTES, MAX_FILE_BYTES, TooMuchError, Upload, sweep
from serving.job.errors import UserError
from serving.job.spec import NAME_PATTERN

MAX_UPLOADS = 8
ROOTS_VARIABLE = "MODELMILL_IMPORT_ROOTS"
ResultT = TypeVar("ResultT")


class Uploads:
    """Uploads that are not imported yet, by dataset and id; a restart forgets them."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Upload] = {}

    def begin(self, dataset: str) -> Upload:
        """A new one; the oldest that nobody imports goes where there are too many."""
        waiting = [key for key, one in self._known.items() if not one.run]
        if len(self._known) >= MAX_UPLOADS and waiting:
            self.forget(*waiting[0])
        roots = environment.read_variable(ROOTS_VARIABLE, "folders, joined by ':'")
        root = Path(roots.split(":")[0])
        sweep(root, {one.id for one in self._known.values()})
        upload = Upload(root)
        self._known[dataset, upload.id] = upload
        return upload

    def find(self, dataset: str, upload_id: str) -> Upload:
        """RefusedError where there is none."""
        found = self._known.get((dataset, upload_id))
        if found is None:
            raise RefusedError(404, "missing", "This upload is not known any more: begin anew.")
        return found

    def forget(self, dataset: str, upload_id: str) -> None:
        """Remove it with its folder."""
        found = self._known.pop((dataset, upload_id), None)
        if found is not None:
            found.remove()


def describe(upload: Upload) -> dict[str, Any]:
    """An upload as the page takes it."""
    return {
        "id": upload.id,
        "classes": dict(sorted(upload.classes.items())),
        "refused": upload.refused,
        "refusals": upload.refusals,
    }


async def receive(request: Request, file: BinaryIO, most: int) -> None:
    """The request's body into a file; RefusedError where it is larger than it may be."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise RefusedError(413, "size", f"Too large: allowed are {most // 10**6:,} MB.")
        await run_in_threadpool(file.write, chunk)
    await run_in_threadpool(file.seek, 0)


def attempt(work: Callable[[], ResultT]) -> ResultT:
    """Do it; RefusedError with the sentence where it cannot be done."""
    try:
        return work()
    except TooMuchError as error:
        raise RefusedError(413, "size", str(error)) from None
    except UserError as error:
        raise RefusedError(409, "conflict", str(error)) from None
    except OSError as error:
        raise RefusedError(507, "disk", f"It cannot be written: {error.strerror}.") from None


def make_upload_router(templates: Environment) -> APIRouter:
    """Routes below /datasets/{name}; whoever may review a dataset may add to it."""
    router = APIRouter(prefix="/datasets/{name}")
    uploads = Uploads()

    def enter(request: Request, name: str) -> None:
        check_origin(request)
        check_session(request, name)

    @router.get("/upload")
    def show(name: str) -> HTMLResponse:
        if not re.fullmatch(NAME_PATTERN, name):
            raise RefusedError(404, "missing", "No dataset can have such a name.")
        return show_page(templates, name, "upload.html")

    @router.post("/uploads")
    def begin(name: str, request: Request) -> Response:
        enter(request, name)
        return answer_json(describe(attempt(lambda: uploads.begin(name))))

    @router.post("/uploads/{upload_id}/files")
    async def add_file(
        name: str, upload_id: str, request: Request, label: str, file: str
    ) -> Response:
        enter(request, name)
        upload = uploads.find(name, upload_id)
        with tempfile.TemporaryFile() as kept:
            await receive(request, kept, MAX_FILE_BYTES)
            content = await run_in_threadpool(kept.read)
        await run_in_threadpool(attempt, lambda: upload.add((label, file), content))
        return answer_json(describe(upload))

    @router.post("/uploads/{upload_id}/archive")
    async def add_archive(name: str, upload_id: str, request: Request) -> Response:
        enter(request, name)
        upload = uploads.find(name, upload_id)
        # Beside the pictures: a temporary folder may be memory.
        with tempfile.TemporaryFile(dir=upload.folder.parent) as kept:
            await receive(request, kept, MAX_BYTES)
            await run_in_threadpool(attempt, lambda: upload.add_archive(kept))
        return answer_json(describe(upload))

    @router.post("/uploads/{upload_id}/import")
    def start(name: str, upload_id: str, request: Request) -> Response:
        enter(request, name)
        upload = uploads.find(name, upload_id)
        if not upload.classes:
            raise RefusedError(409, "empty", "No picture was sent yet: there is nothing to import.")
        if not upload.run:
            upload.run = attempt(lambda: start_import(name, str(upload.folder)))
        return answer_json({"run": upload.run})

    @router.get("/uploads/{upload_id}/import")
    def watch(name: str, upload_id: str, request: Request) -> Response:
        check_session(request, name)
        upload = uploads.find(name, upload_id)
        state = attempt(lambda: read_import(upload.run))
        if state.state == "success":
            # The bytes are in the store now. What failed stays, to be tried again.
            uploads.forget(name, upload_id)
        elif state.state == "failed":
            upload.run = ""
        return answer_json(state.model_dump(mode="json"))

    return router
