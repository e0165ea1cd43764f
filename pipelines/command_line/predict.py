"""./modelmill predict."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import httpx
from pydantic import BaseModel, ConfigDict, Field

from pipelines.catalogue import read_deployment
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.command_line.predict_folder import predict_here
from pipelines.command_line.predict_hdfs import predict_by_airflow
from serving.bundle.manifest import SEVERAL
from serving.job.errors import UserError
from serving.offline.spec import DEFAULT_TOP

TIMEOUT_S = 60
HDFS = "hdfs://"


class LabelScore(BaseModel):
    """One class and its probability."""

    model_config = ConfigDict(frozen=True)

    label: str
    score: float


class Prediction(BaseModel):
    """One file's answer, best class first, or why there is none.

    labels: what it shows. several: it could have been several.
    """

    model_config = ConfigDict(frozen=True)

    file: str
    labels: tuple[str, ...] = ()
    several: bool = Field(default=False, exclude=True)
    results: tuple[LabelScore, ...] = ()
    error: str = ""


class Predictions(BaseModel):
    """What `predict` answers."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    version: int
    endpoint: str
    predictions: tuple[Prediction, ...]


@click.command()
@click.option("--deployment", required=True, help="Name under which the model is served.")
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--token",
    envvar="MODELMILL_TOKEN",
    help="Where the deployment asks for one; better said by the variable MODELMILL_TOKEN.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="For a folder: write the answers to this file, .csv or .jsonl.",
)
@click.option(
    "--version",
    default=0,
    type=click.IntRange(min=0),
    help="With --out, or on HDFS: another version than the one in service.",
)
@click.option(
    "--top",
    default=DEFAULT_TOP,
    show_default=True,
    type=click.IntRange(min=1),
    help="With --out: classes a picture, with their scores.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    help="With --out: below it a picture counts as none of these (column declined); where it may "
    "have several labels, every class is said from it on.  [default: as the model's server]",
)
@click.option(
    "--cores",
    default=0,
    type=click.IntRange(min=0),
    help="With --out: how many to use.  [default: all]",
)
@click.option("--force", is_flag=True, help="With --out: replace the file where it is there.")
@json_option
def predict(
    deployment: str,
    files: tuple[str, ...],
    token: str | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask the model in service what it sees in each FILE. Exit code 1 where one has no answer.

    With --out, FILE is one folder, and every file below it is a row of the answers: no server is
    asked, the bundle that it serves works here, on all cores. What is no picture, or cannot be
    read, is a row that says why, and ends nothing. Hidden files are left out.

    FILE may be one folder on HDFS, hdfs://HOST:PORT/PATH: Spark answers it, in a run of the DAG
    modelmill_predict, and writes Parquet there.
    """
    installation = use_installation()
    if any(file.startswith(HDFS) for file in files):
        if len(files) > 1 or out is not None:
            raise click.UsageError(f"Name one {HDFS}… folder alone, without --out.")
        version = options["version"]
        predict_by_airflow(
            installation, deployment=deployment, version=version, folder=files[0], as_json=as_json
        )
        return
    paths = tuple(map(Path, files))
    if out is not None:
        predict_here(
            installation, deployment=deployment, given=paths, out=out, as_json=as_json, **options
        )
        return
    found = read_deployment(deployment)
    folder = next((path for path in paths if path.is_dir()), None)
    if folder is not None:
        raise UserError(f"{folder} is a folder: say where its answers go, --out results.csv.")
    endpoint = f"http://{installation.settings.host}:{found.port}"
    answers = ask_server(endpoint, deployment, paths, token)
    answer = Predictions(
        deployment=deployment, version=found.version, endpoint=endpoint, predictions=answers
    )
    if as_json:
        emit_json(answer)
    else:
        for one in answers:
            click.echo(f"{one.file}: {one.error or describe_answer(one)}")
    sys.exit(any(one.error for one in answers))


def describe_answer(one: Prediction) -> str:
    """The best classes; where a picture may have several labels, those before them."""
    best = ", ".join(f"{r.label} {r.score:.3f}" for r in one.results)
    if not one.several:
        return best
    return f"{', '.join(one.labels) or 'none of these'} ({best})"


def ask_server(
    endpoint: str, deployment: str, files: Sequence[Path], token: str | None = None
) -> tuple[Prediction, ...]:
    """One request a file; raises UserError where no server answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=endpoint, timeout=TIMEOUT_S, headers=headers) as client:
        try:
            several = _tells_several(client)
            answers = (_ask(client, path) for path in files)
            return tuple(one.model_copy(update={"several": several}) for one in answers)
        except httpx.HTTPError as error:
            raise UserError(
                f"Deployment {deployment!r} does not answer at {endpoint} "
                f"({type(error).__name__}). ./modelmill up brings its server back."
            ) from None


def _tells_several(client: httpx.Client) -> bool:
    model = client.get("/v1/model")
    # Where it asks for a token, every answer says so.
    return model.is_success and model.json()["task"] == SEVERAL


def _ask(client: httpx.Client, path: Path) -> Prediction:
    try:
        content = path.read_bytes()
    except OSError as error:
        return Prediction(file=str(path), error=f"cannot be read: {error.strerror}")
    headers = {"Content-Type": "application/octet-stream"}
    answer = client.post("/v1/predict", content=content, headers=headers)
    body = answer.json()
    if answer.is_error:
        return Prediction(file=str(path), error=body["error"]["message"])
    # Servers of versions from before name no labels.
    return Prediction(file=str(path), labels=body.get("labels", ()), results=body["results"])
