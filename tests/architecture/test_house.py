"""The house's own rules, read off the tree."""

import ast
import configparser
import re
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
MAX_FILE_LINES = 260
MAX_FUNCTION_LINES = 75
PACKAGES = ("dags", "pipelines", "spark_jobs", "training", "serving")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=True,
    )
    return [REPO / line for line in listed.stdout.splitlines() if (REPO / line).is_file()]


def test_files_and_functions_stay_short() -> None:
    long = []
    for path in tracked("*.py"):
        text = path.read_text()
        if len(text.splitlines()) > MAX_FILE_LINES:
            long.append(f"{path.relative_to(REPO)}: {len(text.splitlines())} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long.append(f"{path.relative_to(REPO)}:{node.name}: {lines} lines")
    assert not long, "\n".join(long)


def test_init_files_are_empty() -> None:
    full = [p for p in tracked("*__init__.py") if len(p.read_text().strip().splitlines()) > 3]
    assert not full


def test_no_module_hides_a_dependency() -> None:
    names = {path.stem for path in tracked("dags/*.py", "docker/*.py")}
    assert not names & {"airflow", "docker", "hdfs", "mlflow", "paddle", "pymongo", "pyspark"}
    assert not (REPO / "docker" / "__init__.py").exists()


@pytest.mark.parametrize("environment", ["control", "jobs", "serve"])
def test_lock_names_every_requirement(environment: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(REPO / "setup.cfg")
    wanted = {
        re.split(r"[<>=\[ ]", line, maxsplit=1)[0].lower().replace("_", "-")
        for line in setup["options.extras_require"][environment].splitlines()
        if line and not line.startswith("#")
    }
    lock = (REPO / "docker" / "locks" / f"{environment}.txt").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==", lock, flags=re.MULTILINE))
    assert wanted <= locked


def test_every_locked_package_has_a_hash() -> None:
    for path in tracked("docker/locks/*.txt"):
        pins = re.findall(r"^[a-z0-9._-]+(?:\[[^]]*\])?==.*$", path.read_text(), re.MULTILINE)
        assert pins
        assert all(pin.endswith("\\") for pin in pins), path.name


def test_airflow_is_known_to_dags_tasks_and_plugin_only() -> None:
    allowed = {REPO / "pipelines" / name for name in ("plugin.py", "form.py")}
    found = {
        path
        for path in tracked("pipelines/*.py", "spark_jobs/*.py", "training/*.py", "serving/*.py")
        if re.search(r"^\s*(from|import) airflow\b", path.read_text(), re.MULTILINE)
    }
    tasks = {path for path in found if REPO / "pipelines" / "tasks" in path.parents}
    assert tasks
    assert found - tasks == allowed
