"""The command line: what it lists, and what it says where it cannot do as asked."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pipelines.cli import COMMANDS, cli, main
from pipelines.local.layout import REPO
from pipelines.local.second_home import find_free_ports
from pipelines.settings import PREFIX


@click.command()
def breaking() -> None:
    """A command with a defect."""
    raise ZeroDivisionError("division by zero")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="modelmill")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where nothing was ever set up, and whose ports nobody listens on."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(f"{PREFIX}HOME", str(tmp_path))
    for name, port in zip(("AIRFLOW", "MONGO", "WEBHDFS"), find_free_ports(3), strict=True):
        monkeypatch.setenv(f"{PREFIX}PORT_{name}", str(port))
    return tmp_path


def test_help_lists_every_command_with_a_line_of_its_own() -> None:
    done = invoke("--help")
    assert done.exit_code == 0
    lines = done.output.partition("Commands:\n")[2].splitlines()
    listed = [line.split(maxsplit=1) for line in lines if line.startswith("  ") and line[2] != " "]
    assert [name for name, _ in listed] == list(COMMANDS)
    assert all(len(text) > 10 for _, text in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = invoke(command, "--help")
    assert done.exit_code == 0, done.output
    assert command in done.output
    assert len(done.output.splitlines()) >= 2


def test_every_option_says_what_it_is() -> None:
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        mute = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
        assert (name, mute) == (name, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command 'fly'"),
        (["train"], "Missing option '--dataset'"),
        (["train", "--dataset", "Herbs"], "--dataset was 'Herbs', but allowed is: a lower-case"),
        (["train", "--dataset", "herbs", "--min-accuracy", "2"], "--min-accuracy was 2.0, but"),
        (["train", "--dataset", "herbs", "--stages", "{"], "is not JSON"),
        (["train", "--dataset", "herbs", "--devices", "tpu"], "'tpu' is not one of"),
        (["import", "--dataset", "herbs"], "What to import is missing: give source"),
        (["import", "/photos"], "Missing option '--dataset'"),
        (["import", "/photos", "--dataset", "Herbs"], "--dataset was 'Herbs'"),
        (["predict", "--deployment", "herbs"], "Missing argument"),
        (["runs", "--limit", "0"], "--limit"),
        (["report"], "Missing argument 'RUN'"),
        (["rollback"], "Missing argument 'NAME'"),
        (["rollback", "Herbs"], "--deployment was 'Herbs', but allowed is: a lower-case"),
        (
            ["deploy", "herbs", "--set", "colour=3"],
            "--set was 'colour=3', but allowed are: replicas=…",
        ),
        (["deploy", "herbs", "--set", "replicas=0"], "--set replicas='0': Input should be greater"),
        (
            ["deploy", "herbs", "--set", "replicas=99"],
            "--set replicas='99': Input should be less than",
        ),
        (["promote", "herbs"], "Missing argument 'VERSION'"),
        (["bench", "nothing"], "NAME was 'nothing', but allowed is: "),
        (["demo", "/nowhere/at/all"], "does not exist"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str, home: Path) -> None:
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert words in done.output
    assert list(home.iterdir()) == []


def test_bad_setting_is_one_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", "status"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPO),
            f"{PREFIX}HOME": str(tmp_path),
            f"{PREFIX}PORT_MONGO": "many",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Error: {PREFIX}PORT_MONGO='many' cannot be used: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs"],
        ["train", "--dataset", "herbs"],
        ["import", ".", "--dataset", "herbs"],
        ["report", "20250301T020000-0a1b2c"],
        ["predict", "--deployment", "herbs", "a.jpg"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_nothing_running_is_one_sentence(
    arguments: list[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["modelmill", *arguments])
    assert main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("Error: namenode at 127.0.0.1:")
    assert line.endswith("does not answer. Start it: ./modelmill up")


def test_defect_is_two_sentences_and_its_trace_is_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(COMMANDS, "breaking", f"{__name__}:breaking")
    monkeypatch.setattr(sys, "argv", ["modelmill", "breaking"])
    assert main() == 1
    log = home / "log" / "command-line.log"
    assert capsys.readouterr().err.splitlines() == [
        "Error: ZeroDivisionError: division by zero",
        f"This should not happen. What led to it is in {log}",
    ]
    kept = log.read_text()
    assert "breaking" in kept
    assert "Traceback" in kept


def test_defect_has_no_stack_trace_where_none_can_be_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").touch()
    monkeypatch.setenv(f"{PREFIX}HOME", str(home / "file"))
    monkeypatch.setitem(COMMANDS, "breaking", f"{__name__}:breaking")
    monkeypatch.setattr(sys, "argv", ["modelmill", "breaking"])
    assert main() == 1
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_commands_are_imported_only_when_asked_for() -> None:
    probe = "import sys; from pipelines.cli import cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        env={"PYTHONPATH": str(REPO), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "click" in loaded
    assert not loaded & {"airflow", "docker", "httpx", "pymongo", "rich"}
