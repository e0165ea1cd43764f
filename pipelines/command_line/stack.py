"""./modelmill up, down and status."""

from collections import Counter

import click
from pydantic import BaseModel, ConfigDict

from pipelines.command_line.output import emit_json, json_option
from pipelines.local.layout import read_layout
from pipelines.settings import Settings, read_settings

MEBIBYTE = 1024 * 1024


class Addresses(BaseModel):
    """Where a person looks."""

    model_config = ConfigDict(frozen=True)

    airflow: str
    airflow_user: str
    airflow_password: str
    mlflow: str
    reports: str


def read_addresses(settings: Settings) -> Addresses:
    """Addresses of the pages, with Airflow's user and password."""
    from pipelines.local.configuration import ADMIN, read_admin_password

    return Addresses(
        airflow=settings.airflow_address,
        airflow_user=ADMIN,
        airflow_password=read_admin_password(read_layout(settings)),
        mlflow=settings.mlflow_address,
        reports=settings.console_address,
    )


def show_addresses(addresses: Addresses) -> None:
    """One line each."""
    who = f"(user {addresses.airflow_user}, password {addresses.airflow_password})"
    click.echo(f"Airflow   {addresses.airflow}  {who}")
    click.echo(f"MLflow    {addresses.mlflow}")
    click.echo(f"Reports   {addresses.reports}")


@click.command()
@json_option
def up(as_json: bool) -> None:
    """Set up what is missing, start every service, and wait until all are ready."""
    from pipelines.local.bring_up import bring_up

    settings = read_settings()
    bring_up(settings)
    addresses = read_addresses(settings)
    if as_json:
        emit_json(addresses)
    else:
        show_addresses(addresses)


@click.command()
def down() -> None:
    """End every service and every model server; data stays."""
    from pipelines.local.bring_up import take_down

    take_down(read_settings())
    click.echo("Everything is down; data stays in place.")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show every service: state, address, memory."""
    from pipelines.local.status import read_status

    found = read_status(read_settings())
    if as_json:
        emit_json(found)
        return
    for service in found.services:
        size = f"{service.memory / MEBIBYTE:6.0f} MB" if service.memory else f"{'-':>9}"
        click.echo(f"{service.name:<22} {size}  {service.address:<24} {service.state}")
    click.echo(f"{'all services':<22} {found.memory / MEBIBYTE:6.0f} MB")
    alike = Counter(server.model_copy(update={"name": ""}) for server in found.servers)
    for server, count in alike.items():
        place = f"http://{read_settings().host}:{server.port}"
        several = f"{count} × " if count > 1 else ""
        click.echo(
            f"{server.deployment:<22} version {server.version}  {place:<24} "
            f"{several}{server.state} ({server.served_by})"
        )
