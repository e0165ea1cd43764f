"""System packages: Java, Maven, a Docker engine, a browser; installed where that can be done."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import click

from pipelines.local.report import say, step
from pipelines.settings import Settings
from serving.job.errors import UserError

JAVA_VERSION = 17
JDK = "openjdk-17-jdk-headless"
ENGINE_PACKAGES = ("docker.io", "iptables", "mmdebstrap")

Decision = Literal["install", "ask", "refuse"]


@dataclass(frozen=True)
class Missing:
    """Debian packages that are not there; without `required` ones nothing runs."""

    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Every package, required ones first."""
        return (*self.required, *self.optional)

    @property
    def command(self) -> str:
        """What a person can type."""
        return f"apt-get update && apt-get install -y --no-install-recommends {' '.join(self.all)}"


def find_missing(
    *, jars_are_there: bool, engine_is_wanted: bool, browser_is_wanted: bool = False
) -> Missing:
    """Look for programs on PATH.

    engine_is_wanted: no Docker engine answers yet. browser_is_wanted: pages are to be tested.
    """
    required = [] if _has_jdk() else [JDK]
    if not jars_are_there and shutil.which("mvn") is None:
        required.append("maven")
    optional: list[str] = []
    if engine_is_wanted:
        programs = {"docker.io": "dockerd", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
        optional = [name for name in ENGINE_PACKAGES if _which_admin(programs[name]) is None]
    if browser_is_wanted and find_browser() is None:
        optional.append("chromium")
    return Missing(tuple(required), tuple(optional))


def find_browser() -> str | None:
    """Path of Debian's Chromium, or of another one that is called so."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _which_admin(program: str) -> str | None:
    """Like which, also where Debian keeps programs for administrators."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _has_jdk() -> bool:
    """True for a JDK of JAVA_VERSION or newer: the MongoDB-wire server starts from source."""
    java = shutil.which("javac")
    if java is None:
        return False
    shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = re.search(r"javac (\d+)", shown.stdout + shown.stderr)
    return version is not None and int(version[1]) >= JAVA_VERSION


def decide(setting: str, *, can_install: bool, terminal: bool) -> Decision:
    """MODELMILL_INSTALL decides; else a terminal is asked, and where there is none, it goes on."""
    if not can_install or setting == "no":
        return "refuse"
    return "ask" if terminal and setting != "yes" else "install"


def provide_packages(missing: Missing, settings: Settings) -> None:
    """Install what is missing, or say what to type; raises UserError if a required one stays out.

    The others are not: without a Docker engine, models are served by local processes, and without
    a browser, tests of pages are left out.
    """
    if not missing.all:
        return
    can_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    decision = decide(settings.install, can_install=can_install, terminal=sys.stdin.isatty())
    say(f"Missing on this machine: {', '.join(missing.all)}")
    if decision == "ask":
        agreed = click.confirm(f"Install with apt-get: {' '.join(missing.all)}?", default=True)
        decision = "install" if agreed else "refuse"
    if decision == "install":
        failed = _install(missing.all)
        if failed is None:
            return
        say(f"apt-get failed: {failed}")
    if missing.required:
        raise UserError(
            f"{', '.join(missing.required)} must be installed first. As root:\n  {missing.command}"
        )
    left_out = ", ".join(missing.optional)
    say(f"Going on without {left_out}. To have all, as root:\n  {missing.command}")


def _install(packages: tuple[str, ...]) -> str | None:
    """None on success, else apt-get's last line."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"Installing {', '.join(packages)} with apt-get"):
        for arguments in (
            ["update", "-q"],
            ["install", "-y", "-q", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(
                ["apt-get", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                lines = (done.stderr or done.stdout).strip().splitlines()
                return lines[-1] if lines else f"exit code {done.returncode}"
    return None
