"""./modelmill deployments: what is in service, and what led there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
from pydantic import BaseModel, ConfigDict

from pipelines.catalogue import read_deployment
from pipelines.command_line.output import emit_json, json_option, use_installation
from serving.job.mongo import use_database
from serving.spec import Rollout

SHOWN_EVENTS = 20


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


class CanaryState(BaseModel):
    """A version that gets a share of the requests, until `until`."""

    model_config = ConfigDict(frozen=True)

    version: int
    percent: int
    until: datetime


class DeploymentState(BaseModel):
    """A deployment as it should be, and what led there, newest first."""

    model_config = ConfigDict(frozen=True)

    deployment: str
    version: int
    version_before: int | None
    reference: int | None = None
    frozen: bool
    replicas: int
    canary: CanaryState | None = None
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
        if one.canary is not None:
            click.echo(f"  {_describe_canary(one.canary)}")
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
        canary=_read_canary(document.get("canary")),
        endpoint=f"http://{host}:{document['port']}",
        events=tuple(
            Event.model_validate(one) for one in events.sort([("at", -1), ("generation", -1)])
        ),
    )


def _read_canary(found: dict[str, Any] | None) -> CanaryState | None:
    if not found:
        return None
    until = found["since"] + timedelta(minutes=found["minutes"])
    return CanaryState(version=found["version"], percent=found["percent"], until=until)


def _describe_canary(canary: CanaryState) -> str:
    left = max(0.0, (canary.until - datetime.now(UTC)).total_seconds() / 60)
    return (
        f"tries version {canary.version} with {canary.percent} % of the requests, for "
        f"{left:.1f} minutes more"
    )


def _describe_event(event: Event) -> str:
    moved = event.from_version != event.to_version
    versions = f"{event.from_version or '-'} → {event.to_version}" if moved else ""
    line = f"{event.at:%Y-%m-%d %H:%M:%S}  {event.action:<13} {versions:<9} {event.who}"
    return f"{line}: {event.why}" if event.why else line.rstrip()
