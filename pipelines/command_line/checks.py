"""./modelmill test and bench."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

from pipelines.command_line.check_runs import Check, run_checks, run_side_by_side, tell
from pipelines.local import jars, packages
from pipelines.local.docker_engine import is_engine_wanted
from pipelines.local.layout import REPO, Layout, read_layout
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
LAST_FAILED = ("--last-failed", "--last-failed-no-failures=none")
# Each run says what its time went to.
SLOWEST = ("--durations=20", "--durations-min=5")


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
    # Each its own: they run side by side, and a second try repeats what the first left there.
    cache = f"cache_dir=.pytest_cache/{title.replace(' ', '-')}"
    python = str(binaries / "python")
    argv = (python, "-m", "pytest", "-q", "-o", cache, *SLOWEST, *options, *folders)
    return Check(title, argv, servers or {}, again=LAST_FAILED)


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
    failed = run_checks(_list_static(control, jobs), outer)
    failed += run_checks([_pytest("unit tests, control", control, CONTROL[2:], *small)], outer)
    if quick:
        failed += run_checks([_pytest("unit tests, jobs", jobs, JOB_TESTS, *small)], outer)
    else:
        missing = packages.find_missing(
            jars_are_there=jars.are_jars_there(layout),
            engine_is_wanted=is_engine_wanted(settings),
            browser_is_wanted=True,
        )
        packages.provide_packages(missing, settings)
        with _use_test_stack(layout) as environment:
            streams = _list_on_stack(control, jobs, read_settings(environment))
            failed += run_side_by_side(streams, environment)
    tell(failed)
    if left := [failure.check.title for failure in failed if not failure.passed_alone]:
        raise UserError(f"Failed: {', '.join(left)}.")
    beside = "; what is above failed beside others, and passed alone" if failed else ""
    click.echo(f"Everything passed{beside}.")


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
