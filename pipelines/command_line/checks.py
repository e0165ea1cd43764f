"""./modelmill test and bench."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from pipelines.local import jars, packages
from pipelines.local.docker_engine import is_engine_wanted
from pipelines.local.layout import REPO, Layout, read_layout
from pipelines.local.report import say
from pipelines.local.second_home import make_environment
from pipelines.settings import PREFIX, Settings, read_settings
from serving.job.errors import UserError

BENCHMARKS = REPO / "tests" / "benchmarks"
# Set where MODELMILL_HOME is a stack that was started for the tests.
TEST_STACK = f"{PREFIX}TEST_STACK"
CONTROL = ("dags", "pipelines", *(f"tests/{n}" for n in ("architecture", "dags", "pipelines")))
JOBS = ("serving", "spark_jobs", "training")
JOB_TESTS = tuple(f"tests/{name}" for name in JOBS)
INTEGRATION = "tests/integration"
# Minutes of a small load: beside all others they cost no time.
SOAK = "tests/serving/test_soak.py"
# Each run says what its time went to.
SLOWEST = ("--durations=20", "--durations-min=5")


@dataclass(frozen=True)
class Check:
    """One program that ends with 0 when all is well; `environment` is added to the others'."""

    title: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def _list_static(control: Path, jobs: Path) -> list[Check]:
    ruff, mypy = str(control / "ruff"), ("mypy", "--no-error-summary")
    with_benchmarks = (*CONTROL, INTEGRATION, "tests/benchmarks")
    return [
        Check("ruff", (ruff, "check", "--quiet", ".")),
        Check("format", (ruff, "format", "--quiet", "--check", ".")),
        Check("imports", (str(control / "lint-imports"), "--no-cache")),
        Check("types, control", (str(control / mypy[0]), mypy[1], *with_benchmarks)),
        Check("types, jobs", (str(jobs / mypy[0]), mypy[1], *JOBS, *JOB_TESTS)),
    ]


def _pytest(
    title: str,
    binaries: Path,
    folders: tuple[str, ...],
    *options: str,
    servers: Mapping[str, str] | None = None,
) -> Check:
    argv = (str(binaries / "python"), "-m", "pytest", "-q", *SLOWEST, *options, *folders)
    return Check(title, argv, servers or {})


def _list_on_stack(control: Path, jobs: Path, stack: Settings) -> list[list[Check]]:
    """Two streams of about the same length, and one that mostly waits."""
    servers = {
        f"{PREFIX}MONGO_URI": stack.mongo_address,
        f"{PREFIX}MLFLOW_URI": stack.mlflow_address,
        f"{PREFIX}WEBHDFS_URI": stack.webhdfs_address,
    }
    serving, spark, training = JOB_TESTS
    marked = ("-m", "integration")
    return [
        [
            _pytest("Spark jobs", jobs, (spark,), servers=servers),
            _pytest("control, on a stack", control, (CONTROL[-1],), *marked, servers=servers),
            _pytest("training", jobs, (training,), servers=servers),
        ],
        [
            # Without the addresses: it starts stacks of its own, which have their own servers.
            _pytest("the whole way", control, (INTEGRATION,)),
            _pytest("serving", jobs, (serving,), f"--ignore={SOAK}", servers=servers),
        ],
        [_pytest("soak", jobs, (SOAK,), servers=servers)],
    ]


def _run(checks: Sequence[Check], environment: Mapping[str, str]) -> list[str]:
    """Run them one after the other; the titles of those that failed."""
    failed = []
    for check in checks:
        say(f"== {check.title} …")
        begin = time.monotonic()
        with subprocess.Popen(
            check.argv,
            cwd=REPO,
            env={**environment, **check.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            # Line by line, under its name: another stream may write between them.
            for line in process.stdout or ():
                say(f"{check.title} | {line.rstrip()}")
        verdict = "passed" if process.returncode == 0 else f"failed ({process.returncode})"
        say(f"== {check.title}: {verdict}, {time.monotonic() - begin:.0f} s")
        if process.returncode:
            failed.append(check.title)
    return failed


def _run_side_by_side(
    streams: Sequence[Sequence[Check]], environment: Mapping[str, str]
) -> list[str]:
    """Run the streams at the same time: most tests wait for an engine more than they compute."""
    with ThreadPoolExecutor(len(streams)) as pool:
        failed = pool.map(lambda checks: _run(checks, environment), streams)
        return [title for titles in failed for title in titles]


@contextmanager
def _use_test_stack(layout: Layout) -> Iterator[dict[str, str]]:
    """A stack from scratch; the environment of the tests that use it."""
    home = Path(tempfile.mkdtemp(prefix="modelmill-test-"))
    environment = make_environment(home, layout.home, os.environ)
    launcher = [str(REPO / "modelmill")]
    try:
        subprocess.run([*launcher, "up"], env=environment, stdin=subprocess.DEVNULL, check=True)
        engine = (home / "conf" / "docker-host").read_text()
        yield {**environment, f"{PREFIX}DOCKER_HOST": engine, TEST_STACK: "1"}
    except subprocess.CalledProcessError:
        raise UserError("The stack that the tests need could not be started.") from None
    finally:
        subprocess.run([*launcher, "down"], env=environment, stdin=subprocess.DEVNULL, check=False)
        shutil.rmtree(home, ignore_errors=True)


@click.command()
@click.option("--quick", is_flag=True, help="Only what needs no running stack, in a few minutes.")
def test(quick: bool) -> None:
    """Run every check: style, types, imports, unit tests, and the whole way on a real stack."""
    settings = read_settings()
    layout = read_layout(settings)
    control, jobs = layout.control / "bin", layout.jobs / "bin"
    outer = {**os.environ, f"{PREFIX}HOME": str(layout.home)}
    small = ("-m", "not integration")
    failed = _run(_list_static(control, jobs), outer)
    failed += _run([_pytest("unit tests, control", control, CONTROL[2:], *small)], outer)
    if quick:
        failed += _run([_pytest("unit tests, jobs", jobs, JOB_TESTS, *small)], outer)
    else:
        missing = packages.find_missing(
            jars_are_there=jars.are_jars_there(layout), engine_is_wanted=is_engine_wanted(settings)
        )
        packages.provide_packages(missing, settings)
        with _use_test_stack(layout) as environment:
            streams = _list_on_stack(control, jobs, read_settings(environment))
            failed += _run_side_by_side(streams, environment)
    if failed:
        raise UserError(f"Failed: {', '.join(failed)}.")
    click.echo("Everything passed.")


def list_benchmarks() -> list[str]:
    """Names that `bench` takes: the scripts' own."""
    return sorted(path.stem for path in BENCHMARKS.glob("*.py") if path.stem != "__init__")


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("name", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(name: str | None, arguments: tuple[str, ...]) -> None:
    """Measure: run a benchmark, which prints JSON lines; without NAME, list them."""
    names = list_benchmarks()
    if name is None or name in ("-h", "--help"):
        click.echo("./modelmill bench NAME [OPTIONS]; --help after NAME shows them. Benchmarks:")
        for one in names:
            click.echo(f"  {one}")
        return
    if name not in names:
        raise click.UsageError(f"NAME was {name!r}, but allowed is: {', '.join(names)}.")
    script = str(BENCHMARKS / f"{name}.py")
    done = subprocess.run([sys.executable, script, *arguments], cwd=REPO, check=False)
    sys.exit(done.returncode)
