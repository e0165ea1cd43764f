"""Lines about long work, on standard error: standard output belongs to answers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click


def say(text: str) -> None:
    """One line for the person who waits."""
    click.echo(text, err=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what begins and, when it ended well, how long it took."""
    say(f"{title} …")
    begin = time.monotonic()
    yield
    say(f"    done in {time.monotonic() - begin:.0f} s")
