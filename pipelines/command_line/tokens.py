"""./modelmill token new, list and revoke."""

import re
from datetime import datetime
from pathlib import Path

import click
from pydantic import BaseModel, ConfigDict

from pipelines.command_line.output import emit_json, json_option
from pipelines.settings import read_settings
from serving.job.errors import UserError
from serving.job.spec import NAME_PATTERN
from serving.tokens import add_token, locate_tokens, read_tokens, revoke_tokens


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)

    deployment: str


class NewToken(_Answer):
    """What `token new` answers, this once."""

    id: str
    token: str


class ListedToken(BaseModel):
    """A token by all that is kept of it for people."""

    model_config = ConfigDict(frozen=True)

    id: str
    created_at: datetime
    note: str


class TokenList(_Answer):
    """What `token list` and `token revoke` answer; open: no token is asked for."""

    open: bool
    tokens: tuple[ListedToken, ...]


@click.group()
def token() -> None:
    """Bearer tokens of a deployment: once it has one, its API asks for it."""


def _locate(deployment: str) -> Path:
    if not re.fullmatch(NAME_PATTERN, deployment):
        raise click.UsageError(f"NAME was {deployment!r}, but allowed is {NAME_PATTERN}.")
    return locate_tokens(read_settings().home, deployment)


def _list(deployment: str, path: Path) -> TokenList:
    try:
        found = read_tokens(path)
    except ValueError as error:
        raise UserError(f"{error}. Until it is mended or removed, nobody may ask.") from None
    known = found.tokens if found else ()
    listed = tuple(ListedToken(id=t.id, created_at=t.created_at, note=t.note) for t in known)
    return TokenList(deployment=deployment, open=found is None, tokens=listed)


def _show(answer: TokenList, as_json: bool) -> None:
    if as_json:
        emit_json(answer)
        return
    if answer.open:
        click.echo(f"{answer.deployment} asks for no token.")
    elif not answer.tokens:
        click.echo(f"{answer.deployment} has no token left: nobody may ask. revoke --all opens it.")
    for one in answer.tokens:
        click.echo(f"{one.id}  {one.created_at:%Y-%m-%d %H:%M} UTC  {one.note}")


@token.command()
@click.argument("deployment", metavar="NAME")
@click.option("--note", default="", help="Who or what it is for.")
@json_option
def new(deployment: str, note: str, as_json: bool) -> None:
    """Make a token for the deployment NAME. It is shown this once, and kept as a hash only."""
    path = _locate(deployment)
    _list(deployment, path)
    text, made = add_token(path, note)
    if as_json:
        emit_json(NewToken(deployment=deployment, id=made.id, token=text))
        return
    click.echo(text)
    click.echo(f"Send it as the header  Authorization: Bearer {text[:11]}…", err=True)


@token.command(name="list")
@click.argument("deployment", metavar="NAME")
@json_option
def list_(deployment: str, as_json: bool) -> None:
    """List the tokens of the deployment NAME: id, when, what for."""
    _show(_list(deployment, _locate(deployment)), as_json)


@token.command()
@click.argument("deployment", metavar="NAME")
@click.argument("ids", nargs=-1, metavar="ID…")
@click.option("--all", "everything", is_flag=True, help="All of them: its API is open again.")
@json_option
def revoke(deployment: str, ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Revoke tokens of the deployment NAME; its servers refuse them within a second."""
    if bool(ids) == everything:
        raise click.UsageError("Name the ids to revoke, or say --all.")
    path = _locate(deployment)
    _list(deployment, path)
    try:
        if everything:
            path.unlink(missing_ok=True)
        else:
            revoke_tokens(path, ids)
    except KeyError as error:
        raise UserError(
            f"{deployment} has no token {', '.join(error.args)}; ./modelmill token list "
            f"{deployment} shows them."
        ) from None
    _show(_list(deployment, path), as_json)
