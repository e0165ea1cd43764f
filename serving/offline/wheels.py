"""What a bundle needs to run elsewhere, as wheels: our own, built here, and the locked ones."""

import configparser
import email
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from serving.environment import REPO
from serving.offline.archive import hash_content

DISTRIBUTION = "modelmill-bundle"
# What serving.bundle imports; versions are those of the serving image.
NEEDED = ("numpy", "onnxruntime", "pillow", "pydantic", "simplejpeg")
# Every file's time, so that the same source makes the same wheel: ZIP's first day.
_TIME = "315532800"
_BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
_SETUP = """[metadata]
name = {name}
version = {version}
license = Apache-2.0

[options]
packages = serving, serving.bundle
python_requires = {python}
install_requires =
    {needed}
"""


def build_own_wheel(folder: Path) -> Path:
    """The wheel of serving.bundle from this very code, put into `folder`."""
    house = configparser.ConfigParser()
    house.read(REPO / "setup.cfg")
    source = folder / "source"
    (source / "serving" / "bundle").mkdir(parents=True)
    shutil.copy(REPO / "serving" / "__init__.py", source / "serving")
    for path in (REPO / "serving" / "bundle").glob("*.py"):
        shutil.copy(path, source / "serving" / "bundle")
    (source / "setup.cfg").write_text(
        _SETUP.format(
            name=DISTRIBUTION,
            version=house["metadata"]["version"],
            python=house["options"]["python_requires"],
            needed="\n    ".join(NEEDED),
        )
    )
    subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": _TIME},
        check=True,
        capture_output=True,
        text=True,
    )
    shutil.rmtree(source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def choose_wheels(wheelhouse: Iterable[Path], wanted: Sequence[str] = NEEDED) -> list[Path]:
    """Of these wheels, the wanted ones and all that they need; KeyError where one is missing."""
    there = {_name(path): path for path in wheelhouse if path.suffix == ".whl"}
    chosen: dict[str, Path] = {}
    waiting = list(wanted)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in chosen:
            chosen[name] = there[name]
            waiting += _list_needs(there[name])
    return [chosen[name] for name in sorted(chosen)]


def _name(wheel: Path) -> str:
    return parse_wheel_filename(wheel.name)[0]


def _list_needs(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        place = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(place))
    needs = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    return [one.name for one in needs if not one.marker or one.marker.evaluate({"extra": ""})]


def render_requirements(wheels: Iterable[Path]) -> str:
    """pip's requirements file, every version pinned and every wheel by its hash."""
    lines = []
    for path in wheels:
        name, version, _, _ = parse_wheel_filename(path.name)
        lines.append(f"{name}=={version} --hash=sha256:{hash_content(path)}\n")
    return "".join(lines)
