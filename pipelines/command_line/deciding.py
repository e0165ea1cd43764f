"""./modelmill deploy, rollback, promote, pin, freeze and release: what a person decides."""

import uuid

import click
from pydantic import ValidationError

from pipelines.command_line.administration import read_actor, run_command, use_scratch
from pipelines.command_line.output import emit_json, json_option, read_flags, use_installation
from pipelines.commands import python_command
from pipelines.publish_request import PublishRequest, publish_spec
from serving.spec import PublishAction, PublishOutcome, Rollout

reason_option = click.option("--reason", default="", help="Why, for the deployment's history.")
name_argument = click.argument("deployment", metavar="NAME")


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
    "--set",
    "settings",
    metavar="SETTING=VALUE",
    required=True,
    multiple=True,
    help="replicas: how many servers share the requests. canary_percent: what share of them a new "
    "version gets first, 0 for all at once. canary_minutes: for how long. Repeatable.",
)
@reason_option
@json_option
def deploy(deployment: str, settings: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Change how the deployment NAME serves: --set replicas=3. Callers notice nothing."""
    values = read_rollout(settings)
    decide("set", deployment, reason=reason, as_json=as_json, **values)


def read_rollout(settings: tuple[str, ...]) -> dict[str, int | float]:
    """Settings of a Rollout, by name; wrong usage where one is none, or cannot have its value."""
    texts = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name not in Rollout.model_fields or not equals:
            allowed = ", ".join(f"{one}=…" for one in Rollout.model_fields)
            raise click.UsageError(f"--set was {setting!r}, but allowed are: {allowed}.")
        texts[name] = text
    try:
        return Rollout.model_validate(texts).model_dump(include=set(texts))
    except ValidationError as error:
        told = [f"{one['loc'][0]}={one['input']!r}: {one['msg']}" for one in error.errors()]
        raise click.UsageError(f"--set {'; '.join(told)}.") from None


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
@click.option(
    "--allow-slow",
    is_flag=True,
    help="Also where it is many times slower than the version in service. With a canary set "
    "(canary_percent), a slow version is sent away all the same.",
)
@reason_option
@json_option
def promote(deployment: str, version: int, allow_slow: bool, reason: str, as_json: bool) -> None:
    """Put a VERSION of the deployment NAME in service, without asking the gate."""
    values = {"version": version, "allow_slow": allow_slow}
    decide("promote", deployment, reason=reason, as_json=as_json, **values)


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
