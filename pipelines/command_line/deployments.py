"""./modelmill deployments, rollback, promote, freeze and release."""

import uuid
from datetime import datetime
from typing import Any

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import read_deployment
from pipelines.command_line.administration import read_actor, run_command, use_scratch
from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.commands import python_command
from pipelines.publish_request import PublishRequest, publish_spec
from serving.job.mongo import use_database
from serving.spec import PublishAction, PublishOutcome, Rollout

SHOWN_EVENTS = 20

reason_option = click.option("--reason", default="", help="Why, for the deployment's history.")
name_argument = click.argument("deployment", metavar="NAME")


class Event(BaseModel):
    """What somebody did to a deployment. action: deploy where an entry of before says nothing.

    generation: None of a refusal, which changes nothing.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    at: datetime
    generation: int | None = None
    action: str = "deploy"
    who: str
    why: str
    from_version: int | None
    to_version: int | None


class DeploymentState(BaseModel):
    """A deployment as it should be, and what led there, newest first."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    version: int
    version_before: int | None
    reference: int | None = None
    frozen: bool
    replicas: int
    endpoint: str
    events: tuple[Event, ...]


class DeploymentList(BaseModel):
    """What `deployments` answers."""

    model_config = ConfigDict(frozen=True)

    deployments: tuple[DeploymentState, ...]


@click.command()
@click.argument("deployment", metavar="[NAME]", required=False)
@click.option(
    "--limit",
    default=SHOWN_EVENTS,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many events to show of each.",
)
@json_option
def deployments(deployment: str | None, limit: int, as_json: bool) -> None:
    """Show deployments; with a NAME, also who did what to it, when and why."""
    installation = use_installation()
    if deployment is not None:
        read_deployment(deployment)
    wanted = {} if deployment is None else {"_id": deployment}
    with use_database() as database:
        found = tuple(
            _describe(database, document, installation.settings.host, limit)
            for document in database["deployments"].find(wanted).sort("_id", 1)
        )
    if as_json:
        emit_json(DeploymentList(deployments=found))
        return
    if not found:
        click.echo("Nothing is in service yet: ./modelmill train --dataset NAME")
    for one in found:
        before = f", {one.version_before} before it" if one.version_before else ""
        frozen = ", frozen" if one.frozen else ""
        held = one.reference not in (None, one.version)
        before += f", held to {one.reference}" if held else ""
        servers = f", {one.replicas} replicas" if one.replicas > 1 else ""
        click.echo(
            f"{one.deployment}  version {one.version}{before}{servers}{frozen}  {one.endpoint}"
        )
        for event in one.events if deployment is not None else ():
            click.echo(f"  {_describe_event(event)}")


def _describe(database: Any, document: dict[str, Any], host: str, limit: int) -> DeploymentState:
    name = str(document["_id"])
    events = database["deployment_events"].find({"deployment": name}).limit(limit)
    history = document.get("history") or []
    replaced = document.get("replaced_version")
    before = replaced if replaced and replaced < document["version"] else None
    rollout = Rollout.model_validate(document.get("rollout") or {})
    return DeploymentState(
        deployment=name,
        version=document["version"],
        version_before=history[-1]["version"] if history else before,
        reference=(document.get("reference") or {}).get("version"),
        frozen=bool(document.get("frozen")),
        # Without an image a local process serves, and that is one.
        replicas=rollout.replicas if document.get("image_tag") else 1,
        endpoint=f"http://{host}:{document['port']}",
        events=tuple(
            Event.model_validate(one) for one in events.sort([("at", -1), ("generation", -1)])
        ),
    )


def _describe_event(event: Event) -> str:
    moved = event.from_version != event.to_version
    versions = f"{event.from_version or '-'} → {event.to_version}" if moved else ""
    line = f"{event.at:%Y-%m-%d %H:%M:%S}  {event.action:<9} {versions:<9} {event.who}"
    return f"{line}: {event.why}" if event.why else line.rstrip()


def decide(
    action: PublishAction, deployment: str, *, reason: str, as_json: bool, **values: object
) -> None:
    """Run the job that does it, and show what came of it; values: other fields of the form."""
    given = {"deployment": deployment, "action": action, "reason": reason, **values}
    request = read_flags(PublishRequest, given)
    installation = use_installation()
    with use_scratch(installation) as folder:
        spec = publish_spec(
            request, request_id=uuid.uuid4().hex, actor=read_actor(), output_uri=folder
        )
        command = python_command(installation.layout, "serving.main", spec)
        outcome = run_command(command, spec, PublishOutcome, installation)
    if as_json:
        emit_json(outcome)
        return
    frozen = "; frozen" if outcome.frozen else ""
    servers = f"{outcome.replicas} × {outcome.served_by}"
    click.echo(f"{deployment}: version {outcome.version} at {outcome.endpoint} ({servers}){frozen}")


@click.command()
@name_argument
@click.option(
    "--set", "replicas", metavar="replicas=N", required=True, help="How many servers share it."
)
@reason_option
@json_option
def deploy(deployment: str, replicas: str, reason: str, as_json: bool) -> None:
    """Change how the deployment NAME serves: --set replicas=3. Callers notice nothing."""
    name, _, value = replicas.partition("=")
    if name != "replicas" or not value.isdigit() or int(value) < 1:
        raise click.UsageError(f"--set was {replicas!r}, but allowed is: replicas=N, N from 1 on.")
    decide("set", deployment, replicas=int(value), reason=reason, as_json=as_json)


@click.command()
@name_argument
@click.option(
    "--to",
    "version",
    default=0,
    type=click.IntRange(0),
    help="Version to go back to.  [default: the one that served before]",
)
@reason_option
@json_option
def rollback(deployment: str, version: int, reason: str, as_json: bool) -> None:
    """Put the version before in service again, and freeze the deployment NAME."""
    decide("rollback", deployment, version=version, reason=reason, as_json=as_json)


@click.command()
@name_argument
@click.argument("version", type=click.IntRange(1))
@reason_option
@json_option
def promote(deployment: str, version: int, reason: str, as_json: bool) -> None:
    """Put a VERSION of the deployment NAME in service, without asking the gate."""
    decide("promote", deployment, version=version, reason=reason, as_json=as_json)


@click.command()
@name_argument
@click.argument("version", type=click.IntRange(1), required=False)
@reason_option
@json_option
def pin(deployment: str, version: int | None, reason: str, as_json: bool) -> None:
    """Hold new versions of the deployment NAME to VERSION, too; by default the one in service."""
    decide("pin", deployment, version=version or 0, reason=reason, as_json=as_json)


@click.command()
@name_argument
@reason_option
@json_option
def freeze(deployment: str, reason: str, as_json: bool) -> None:
    """Let no new version of the deployment NAME in service."""
    decide("freeze", deployment, reason=reason, as_json=as_json)


@click.command()
@name_argument
@reason_option
@json_option
def release(deployment: str, reason: str, as_json: bool) -> None:
    """Let new versions of the deployment NAME in service again."""
    decide("release", deployment, reason=reason, as_json=as_json)
