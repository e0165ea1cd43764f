"""./modelmill demo: everything, once."""

import base64
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import httpx

from pipelines.airflow_api import AirflowApi
from pipelines.catalogue import find_deployment
from pipelines.command_line.data import import_here, show_outcome
from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.command_line.runs import (
    EXIT_CODES,
    find_run,
    run_training,
    show_result,
    use_airflow,
)
from pipelines.command_line.stack import read_addresses, show_addresses
from pipelines.context import Installation, RunFiles
from pipelines.import_request import ImportRequest
from pipelines.local.report import say
from pipelines.request import RunRequest
from pipelines.results import RunResult, describe_run
from pipelines.steps import EVALUATE
from serving.job import store
from serving.job.errors import UserError
from serving.job.smoke import SmokeSamples
from spark_jobs.spec import EvaluateOutcome

DIGITS = "digits"
_RUN_OF_BUNDLE = re.compile(r"/runs/([^/]+)/")
PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")


@click.command()
@click.argument("path", required=False, type=click.Path(exists=True, file_okay=False))
@json_option
def demo(path: str | None, as_json: bool) -> None:
    """Set up, start, train and serve: on handwritten digits, or on the pictures below PATH.

    PATH holds one sub-folder per class. A second time, all that is there is used again.
    """
    from pipelines.local.bring_up import bring_up
    from pipelines.settings import read_settings

    settings = read_settings()
    bring_up(settings)
    installation = use_installation()
    folder = Path(path).absolute() if path else _write_digits(installation)
    dataset = _name_dataset(folder) if path else DIGITS
    say(f"Importing {folder} as the dataset {dataset} …")
    request = read_flags(ImportRequest, {"dataset": dataset, "source": str(folder)})
    imported = import_here(request, installation)
    with use_airflow(installation) as api:
        result = None if imported.added else _find_earlier(api, dataset, installation)
        if result is None:
            form = read_flags(RunRequest, {"dataset": dataset})
            result = run_training(api, form, installation, wait=True)
        else:
            say("Nothing new was imported: the model that is in service stays.")
    if result.endpoint:
        check_served(result, installation)
    if as_json:
        emit_json(result)
    else:
        show_outcome(imported)
        _show_screen(result, folder)
        show_addresses(read_addresses(settings))
    sys.exit(EXIT_CODES[result.state])


def _write_digits(installation: Installation) -> Path:
    folder = installation.layout.home / "import" / DIGITS
    if not folder.exists():
        # Whole or not at all: a second demo takes what is there.
        with tempfile.TemporaryDirectory(dir=folder.parent) as partial:
            fresh = Path(partial) / DIGITS
            python = str(installation.layout.jobs / "bin" / "python")
            subprocess.run(
                [python, "-P", "-m", "spark_jobs.importing.digits", str(fresh)],
                env=installation.job_environment(),
                stdout=sys.stderr,
                check=True,
            )
            fresh.rename(folder)
    return folder


def _name_dataset(folder: Path) -> str:
    """The folder's name as a dataset's name: Latin letters, digits and hyphens."""
    from slugify import slugify

    name = slugify(folder.name, max_length=40)
    if not name:
        return "pictures"
    return name if name[0].isalpha() else f"pictures-{name}"[:40].rstrip("-")


def _find_earlier(api: AirflowApi, dataset: str, installation: Installation) -> RunResult | None:
    """The run whose model serves this dataset; None where there is none to be found."""
    deployment = find_deployment(dataset)
    found = deployment and _RUN_OF_BUNDLE.search(deployment.bundle_uri)
    run = find_run(api, found[1]) if found else None
    return describe_run(api, run, api.list_tasks(run), installation) if run else None


def check_served(result: RunResult, installation: Installation) -> None:
    """Ask the server for real test samples; raises UserError at a wrong answer."""
    files = RunFiles(artifacts=installation.artifacts, run_id=result.run_id)
    samples = store.read_model(files.read(EVALUATE.task, EvaluateOutcome).smoke_uri, SmokeSamples)
    with httpx.Client(base_url=str(result.endpoint), timeout=60) as client:
        for sample in samples.samples:
            content = base64.b64decode(sample.content_base64)
            try:
                answer = client.post("/v1/predict", content=content).json()
                best = answer["results"][0]["label"]
            except (httpx.HTTPError, ValueError, LookupError) as error:
                raise UserError(
                    f"The model at {result.endpoint} does not answer as it should "
                    f"({type(error).__name__}). See ./modelmill status."
                ) from None
            if best != sample.predicted:
                raise UserError(
                    f"The model at {result.endpoint} says {best!r} to a test sample, and said "
                    f"{sample.predicted!r} when it was evaluated."
                )


def _show_screen(result: RunResult, folder: Path) -> None:
    click.echo()
    show_result(result)
    picture = next((p for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURES), None)
    if result.endpoint and picture is not None:
        file = shlex.quote(f"file=@{picture}")
        click.echo(f"  try it  curl -F {file} {result.endpoint}/v1/predict")
    click.echo()
