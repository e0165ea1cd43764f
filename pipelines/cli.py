"""The commands of ./modelmill; each one's module is imported only when it is asked for."""

import sys
import tempfile
import traceback
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import click

from pipelines.run_job import JobFailedError
from pipelines.settings import SettingsError, read_settings
from serving.job.errors import UserError

# Command → module:function, in the order in which --help lists them.
COMMANDS = {
    "demo": "pipelines.command_line.demo:demo",
    "up": "pipelines.command_line.stack:up",
    "down": "pipelines.command_line.stack:down",
    "status": "pipelines.command_line.stack:status",
    "import": "pipelines.command_line.data:import_",
    "upload": "pipelines.command_line.review:upload",
    "datasets": "pipelines.command_line.datasets:datasets",
    "relabel": "pipelines.command_line.datasets:relabel",
    "delete": "pipelines.command_line.delete:delete",
    "review": "pipelines.command_line.review:review",
    "snapshots": "pipelines.command_line.snapshots:snapshots",
    "export": "pipelines.command_line.snapshots:export",
    "backbones": "pipelines.command_line.backbones:backbones",
    "backbone": "pipelines.command_line.backbones:backbone",
    "stages": "pipelines.command_line.stages:stages",
    "stage": "pipelines.command_line.stages:stage",
    "train": "pipelines.command_line.runs:train",
    "node": "pipelines.command_line.node:node",
    "cancel": "pipelines.command_line.interrupting:cancel",
    "resume": "pipelines.command_line.interrupting:resume",
    "approve": "pipelines.command_line.answers:approve",
    "reject": "pipelines.command_line.answers:reject",
    "runs": "pipelines.command_line.runs:runs",
    "report": "pipelines.command_line.runs:report",
    "compare": "pipelines.command_line.compare:compare",
    "prune": "pipelines.command_line.prune:prune",
    "predict": "pipelines.command_line.predict:predict",
    "package": "pipelines.command_line.package:package",
    "deployments": "pipelines.command_line.deployments:deployments",
    "deploy": "pipelines.command_line.deciding:deploy",
    "rollback": "pipelines.command_line.deciding:rollback",
    "promote": "pipelines.command_line.deciding:promote",
    "freeze": "pipelines.command_line.deciding:freeze",
    "pin": "pipelines.command_line.deciding:pin",
    "release": "pipelines.command_line.deciding:release",
    "token": "pipelines.command_line.tokens:token",
    "test": "pipelines.command_line.checks:test",
    "bench": "pipelines.command_line.checks:bench",
    "lock": "pipelines.command_line.locks:lock",
}


class LazyGroup(click.Group):
    """A click group whose commands come from COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click passes it
        cmd_name: str,
    ) -> click.Command | None:
        target = COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{target} is not a click command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """From labelled photos to a tested model behind an API, on one machine."""


def main() -> int:
    """Run one command: what a person can mend is one sentence and exit code 1."""
    try:
        cli(prog_name="modelmill")
    except (SettingsError, UserError) as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except JobFailedError as error:
        click.echo(f"Error: {error}. Its last lines are above; trying again may help.", err=True)
        return 1
    except Exception as error:  # noqa: BLE001 - a stack trace is no last word for a person
        place = _keep_trace()
        click.echo(f"Error: {type(error).__name__}: {error}", err=True)
        click.echo(f"This should not happen. What led to it is in {place}", err=True)
        return 1
    return 0


def _keep_trace() -> Path:
    """Write the current exception's stack trace down."""
    text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {' '.join(sys.argv[1:])}\n"
    text += traceback.format_exc()
    try:
        path = read_settings().home / "log" / "command-line.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)
    except (OSError, SettingsError):
        path = Path(tempfile.mkdtemp(prefix="modelmill-")) / "command-line.log"
        path.write_text(text)
    return path


if __name__ == "__main__":
    sys.exit(main())
