"""A real Chromium for the tests of pages, and what axe-core says of a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipelines.local.packages import find_browser

CHROMIUM = find_browser()
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: apt-get install chromium shows the page to a test"
)


@contextmanager
def launch_chromium() -> Iterator[Any]:
    """The machine's own; without its sandbox, for tests may run as root."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


def find_serious(page: Any) -> list[str]:
    """What axe-core finds serious or critical, a line each; AssertionError where it saw little."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page).response
    assert len(found["passes"]) > 10, "axe saw next to nothing: is the page there?"
    return [
        f"{one['id']}: {node['failureSummary']}: {node['html'][:200]}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
