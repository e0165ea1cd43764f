"""Pages for people: the reports of all runs, and what serves."""

from collections.abc import Callable
from functools import cache
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from serving import environment
from serving.console.access import RefusedError, answer_refusal
from serving.console.review import make_router
from serving.console.runs import list_runs, read_report
from serving.console.upload import make_upload_router
from serving.content_policy import hash_inline, hash_leading_script
from serving.desired import list_desired
from serving.hosts import address_of
from serving.job.mongo import open_database
from serving.job.reviews import count_all_open

ResultT = TypeVar("ResultT")


def protect(page: str, status: int = 200) -> HTMLResponse:
    """A page that may show its own styles and embedded pictures, and run what it begins with.

    Reports hold names and pictures from strangers: no other script runs, nothing is fetched. Only
    Airflow, whose run page has a tab for it, may frame it.
    """
    policy = (
        f"default-src 'none'; img-src data:; style-src {hash_inline(page, 'style')}; "
        f"script-src {hash_leading_script(page)}; "
        f"frame-ancestors {environment.airflow_origin()}; base-uri 'none'; form-action 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }
    return HTMLResponse(page, status_code=status, headers=headers)


def _attempt(what: str, read: Callable[[], list[ResultT]]) -> tuple[list[ResultT], str]:
    """A part of the page, or the sentence that stands in its place while its store is away."""
    try:
        return read(), ""
    except Exception as error:  # noqa: BLE001  (HDFS, MongoDB and HTTP clients raise their own)
        return [], f"{what} cannot be read now ({type(error).__name__}): see ./modelmill status."


def create_app(runs_uri: str) -> FastAPI:
    """The console over the runs below runs_uri and the deployments in MongoDB."""
    templates = Environment(
        loader=PackageLoader("serving.console"), autoescape=True, undefined=StrictUndefined
    )
    database = cache(open_database)
    app = FastAPI(title="modelmill console", docs_url=None, redoc_url=None, openapi_url=None)
    # A page elsewhere that resolves its own name to 127.0.0.1 must not read reports.
    hosts = ["127.0.0.1", "localhost", environment.host()]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)

    def show_problem(status: int, title: str, text: str) -> HTMLResponse:
        page = templates.get_template("problem.html").render(title=title, text=text)
        return protect(page, status)

    @app.exception_handler(HTTPException)
    async def show_http_error(request: Request, error: HTTPException) -> HTMLResponse:
        return show_problem(error.status_code, str(error.detail), f"No page at {request.url.path}.")

    @app.exception_handler(Exception)
    async def show_defect(_: Request, error: Exception) -> HTMLResponse:
        text = f"{type(error).__name__}: see ./modelmill status, and the console's log."
        return show_problem(500, "The console failed", text)

    @app.exception_handler(RefusedError)
    async def show_refusal(_: Request, error: RefusedError) -> JSONResponse:
        return answer_refusal(error)

    app.include_router(make_router(templates, database))
    app.include_router(make_upload_router(templates))

    @app.get("/healthz")
    def check_health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get("/")
    def show_index() -> HTMLResponse:
        runs, runs_problem = _attempt("The runs", lambda: list_runs(runs_uri))
        states, states_problem = _attempt("The deployments", lambda: list_desired(database()))
        # Where MongoDB is away, the deployments' part says so.
        reviews, _ = _attempt("The queue", lambda: list(count_all_open(database()).items()))
        page = templates.get_template("index.html").render(
            runs=runs,
            runs_problem=runs_problem,
            deployments=[(s, address_of(environment.host(), s.port)) for s in states],
            deployments_problem=states_problem,
            reviews=reviews,
        )
        return protect(page)

    @app.get("/runs/{run_id}/report")
    def show_report(run_id: str) -> HTMLResponse:
        report = read_report(runs_uri, run_id)
        if report is None:
            text = f"{run_id} is no run with a report. Reports appear once evaluate has ended."
            return show_problem(404, "No such report", text)
        return protect(report)

    return app
