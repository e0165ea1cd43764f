"""./modelmill up, down and status."""

import click

from pipelines.local.layout import read_layout
from pipelines.settings import Settings, read_settings

MEBIBYTE = 1024 * 1024


@click.command()
def up() -> None:
    """Set up what is missing, start every service, and wait until all are ready."""
    from pipelines.local.bring_up import bring_up

    settings = read_settings()
    bring_up(settings)
    show_addresses(settings)


def show_addresses(settings: Settings) -> None:
    """Where a person looks, with Airflow's user and password."""
    from pipelines.local.configuration import ADMIN, read_admin_password

    password = read_admin_password(read_layout(settings))
    click.echo(f"Airflow   {settings.airflow_address}  (user {ADMIN}, password {password})")
    click.echo(f"MLflow    {settings.mlflow_address}")
    click.echo(f"Reports   {settings.console_address}")


@click.command()
def down() -> None:
    """End every service and every model server; data stays."""
    from pipelines.local.bring_up import take_down

    take_down(read_settings())
    click.echo("Everything is down; data stays in place.")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def status(as_json: bool) -> None:
    """Show every service: state, address, memory."""
    from pipelines.local.status import read_status

    found = read_status(read_settings())
    if as_json:
        click.echo(found.model_dump_json())
        return
    for service in found.services:
        size = f"{service.memory / MEBIBYTE:6.0f} MB" if service.memory else "     -   "
        click.echo(f"{service.name:<22} {size}  {service.address:<24} {service.state}")
    click.echo(f"{'all services':<22} {found.memory / MEBIBYTE:6.0f} MB")
    for server in found.servers:
        click.echo(f"model server           {server}")
