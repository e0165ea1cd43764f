"""One stack, started from scratch, shared by every integration test."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.command_line.checks import TEST_STACK
from pipelines.local.second_home import make_environment
from pipelines.settings import read_settings
from tests.integration.pictures import CLASSES, write_pictures
from tests.integration.stack import Stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything beside this file needs the stack."""
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.path).parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    if os.environ.get(TEST_STACK):
        # ./modelmill test has started it already, from scratch too.
        yield Stack(os.environ)
        return
    home = Path(tempfile.mkdtemp(prefix="mm-it-"))
    one = Stack(make_environment(home, read_settings().home, os.environ))
    try:
        one.run("up")
        yield one
    finally:
        one.run("down", check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a person might have: 24 pictures of each class, and some that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, CLASSES, per_class=24)
    first = folder / CLASSES[0]
    (first / "empty.jpg").write_bytes(b"")
    (first / "notes.txt").write_text("not a picture")
    whole = next(first.glob("*.png")).read_bytes()
    (first / "cut off.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def imported(stack: Stack, pictures: Path) -> str:
    """The dataset that those pictures are in."""
    stack.json("import", str(pictures), "--dataset", "signs")
    return "signs"
