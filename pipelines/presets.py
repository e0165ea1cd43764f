"""Nightly presets: a YAML file each, the fields of a RunRequest and when to run."""

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipelines.form import FormError, read_form
from pipelines.form_base import NAME_RULE
from pipelines.request import RunRequest

SHIPPED = Path(__file__).parent / "presets"
# At night nobody is there to be asked.
_UNATTENDED = {"on_unsure": "keep"}
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class PresetError(Exception):
    """A file that cannot be used; the text names the file and what to change."""


class Preset(BaseModel):
    """One scheduled training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1)
    cron: str
    paused: bool = True
    request: RunRequest


def list_presets(*folders: Path) -> dict[str, Path]:
    """Name → file; a later folder's file takes the place of an earlier one's of the same name."""
    return {
        path.stem: path
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix in (".yaml", ".yml")
    }


def read_preset(path: Path) -> Preset:
    """Read and check one; raises PresetError."""
    if not _NAME.fullmatch(path.stem):
        raise PresetError(
            f"{path}: a preset's file name must be {NAME_RULE} or underscores, then .yaml."
        )
    try:
        content: Any = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise PresetError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(content, dict):
        raise PresetError(f"{path} must hold the keys {', '.join(Preset.model_fields)}.")
    request = content.get("request")
    if not isinstance(request, dict):
        raise PresetError(f"{path}: request must hold the fields of the training form.")
    try:
        form = read_form(
            RunRequest, {**_UNATTENDED, **request}, lambda field: f"{path}: request.{field}"
        )
        preset = Preset.model_validate({**content, "request": form})
    except FormError as error:
        raise PresetError(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PresetError(
            f"{path}: {where}: {first['msg']}. Its keys are {', '.join(Preset.model_fields)}."
        ) from None
    _check_cron(preset.cron, path)
    return preset


def _check_cron(cron: str, path: Path) -> None:
    from croniter import croniter

    # R stands for a random time, another one at each look.
    if re.search(r"\bR\b", cron) or not croniter.is_valid(cron, strict=True):
        raise PresetError(
            f"{path}: cron was {cron!r}, but allowed is: five fields like '30 2 * * *' "
            "(minute, hour, day, month, weekday; UTC)."
        )
