"""What the README says is true: its table, and its recipes, which run."""

import re
from pathlib import Path

import pytest

from pipelines.presets import read_preset
from pipelines.settings import PREFIX, Settings

REPO = Path(__file__).parents[2]
README = (REPO / "README.md").read_text()
MARKS = re.compile(r"(<!-- settings: [^>]*-->\n)(.*)(<!-- /settings -->)", re.DOTALL)

# What our processes tell one another.
OWN = {"MODELMILL_OWNER", "MODELMILL_SOURCE_MONGO_URI", "MODELMILL_SUPERVISOR"}


def render_settings() -> str:
    """The README's table of settings."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.is_required() or field.default == "" else f"`{field.default}`"
        rows.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows) + "\n"


def find_block(language: str) -> str:
    """The README's first block in a language."""
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    assert found, language
    return found[1]


def test_table_of_settings_is_derived() -> None:
    found = MARKS.search(README)
    assert found
    wanted = render_settings()
    assert found[2] == wanted, f"put this between the marks:\n{wanted}"


def test_every_variable_that_the_code_names_is_in_the_readme() -> None:
    found = set()
    for package in ("dags", "pipelines", "serving", "spark_jobs", "training"):
        for path in (REPO / package).rglob("*.py"):
            found |= set(re.findall(rf"{PREFIX}[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
    assert len(found) > 10
    assert sorted(name for name in found - OWN if f"`{name}`" not in README) == []


def test_nightly_recipe_is_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "boards.yaml"
    path.write_text(find_block("yaml"))
    preset = read_preset(path)
    assert preset.request.dataset == "boards"
    assert preset.cron == "30 2 * * *"


@pytest.mark.parametrize("words", re.findall(r"(?:^    |`)\./modelmill ([a-z]+)", README, re.M))
def test_every_command_it_names_exists(words: str) -> None:
    from pipelines.cli import COMMANDS

    assert words in COMMANDS


def test_every_file_it_names_exists() -> None:
    names = set(re.findall(r"`((?:docs|docker|pipelines|spark_jobs|tests)/[\w./-]+)`", README))
    assert names
    assert not [name for name in names if not (REPO / name).exists()]


def test_versions_are_the_locked_ones() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([a-z-]+) \| ([\d.]+) \|$", README, re.MULTILINE)
    locks = (REPO / "docker" / "locks").glob("*.txt")
    pins = "\n".join(path.read_text() for path in locks)
    assert len(rows) >= 5
    assert not [f"{name}=={version}" for name, version in rows if f"{name}=={version} " not in pins]
