"""How commands answer: people on standard error and output, programs with one JSON object."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click
from pydantic import BaseModel

from pipelines.context import Installation, publish_addresses, read_installation
from pipelines.form import FormError, name_flag, read_form
from pipelines.form_base import Form
from pipelines.local.services import SERVICES, check_service
from serving.job.errors import UserError

# What commands read and write themselves.
STORES = ("namenode", "datanode", "mongo")
FormT = TypeVar("FormT", bound=Form)

json_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object on standard output."
)


def emit_json(answer: BaseModel) -> None:
    """The one object."""
    click.echo(answer.model_dump_json())


def read_flags(form: type[FormT], values: Mapping[str, object]) -> FormT:
    """The form that the flags fill in; a value that does not fit is wrong usage, exit code 2."""
    try:
        return read_form(form, values, name_flag)
    except FormError as error:
        raise click.UsageError(str(error)) from None


def use_installation() -> Installation:
    """The installation at hand, its HDFS and MongoDB in reach; raises UserError where not."""
    installation = read_installation()
    for service in SERVICES:
        if service.name not in STORES or not service.is_wanted(installation.settings):
            continue
        reason = check_service(service, installation.settings, installation.layout)
        if reason is not None:
            address = service.address(installation.settings, installation.layout)
            raise UserError(f"{service.name} at {address} {reason}. Start it: ./modelmill up")
    publish_addresses(installation)
    return installation
