"""./modelmill lock: setup.cfg's extras → docker/locks."""

import subprocess

import click

from pipelines.local.layout import REPO, read_layout
from pipelines.local.report import step
from pipelines.settings import read_settings
from serving.job.errors import UserError

FOLDER = REPO / "docker" / "locks"
# Lock → extras. The jobs' environment can serve a model too, where there is no Docker engine.
LOCKS = {"control": ("control",), "jobs": ("jobs", "serve"), "serve": ("serve",)}
# A -dev lock comes after its own, and keeps its pins.
DEV = {"control": ("dev",), "jobs": ("dev", "clients")}


@click.command()
@click.option("--upgrade", is_flag=True, help="Take the newest versions that setup.cfg allows.")
def lock(upgrade: bool) -> None:
    """Make docker/locks anew from setup.cfg; versions stay where they still fit."""
    uv = str(read_layout(read_settings()).home / "venvs" / "boot" / "bin" / "uv")
    options = ["--upgrade"] if upgrade else []
    for name, extras in LOCKS.items():
        _resolve(uv, name, extras, options)
    for name, extras in DEV.items():
        constraint = ["--constraint", str(FOLDER / f"{name}.txt")]
        _resolve(uv, f"{name}-dev", (*LOCKS[name], *extras), [*options, *constraint])


def _resolve(uv: str, name: str, extras: tuple[str, ...], options: list[str]) -> None:
    argv = [uv, "pip", "compile", "--quiet", "setup.cfg", "--python-version", "3.11"]
    argv += ["--generate-hashes", "--no-header", "--output-file", str(FOLDER / f"{name}.txt")]
    argv += [option for extra in extras for option in ("--extra", extra)]
    with step(f"Resolving {name}"):
        done = subprocess.run([*argv, *options], cwd=REPO, check=False)
    if done.returncode:
        raise UserError(f"The lock {name} could not be made; the reason is said above.")
