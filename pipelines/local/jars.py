"""The Java parts, from Maven Central: HDFS, the MongoDB-wire server, Spark's MongoDB connector."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from pipelines.local.layout import LOCAL_CONF, Layout
from pipelines.local.report import step
from serving.job.errors import UserError

PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
STAMP_FILE = ".pom"


def list_poms() -> list[Path]:
    """One pom.xml per set of jars, named by its folder."""
    return sorted(LOCAL_CONF.glob("*/pom.xml"))


def _digest(pom: Path) -> str:
    return hashlib.sha256(pom.read_bytes()).hexdigest()


def _is_current(layout: Layout, pom: Path) -> bool:
    stamp = layout.jars(pom.parent.name) / STAMP_FILE
    return stamp.exists() and stamp.read_text() == _digest(pom)


def are_jars_there(layout: Layout) -> bool:
    """True where nothing is to be fetched."""
    return all(_is_current(layout, pom) for pom in list_poms())


def fetch_jars(layout: Layout) -> None:
    """Fetch what is missing or belongs to another pom; raises UserError."""
    for pom in list_poms():
        if not _is_current(layout, pom):
            with step(f"Fetching the jars of {pom.parent.name}"):
                _fetch(layout, pom)


def _fetch(layout: Layout, pom: Path) -> None:
    target = layout.jars(pom.parent.name)
    partial = target.with_name("lib.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # Maven writes beside the pom it reads; the checkout stays clean.
    copy = partial.with_name("pom.xml")
    shutil.copyfile(pom, copy)
    done = subprocess.run(
        [
            *("mvn", "-q", "-B", "-f", str(copy), PLUGIN),
            *(f"-DoutputDirectory={partial}", "-DincludeScope=runtime"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise UserError(f"Maven could not fetch {pom.parent.name}'s jars: {(lines or ['?'])[0]}")
    (partial / STAMP_FILE).write_text(_digest(pom))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
