"""Model servers, asked about in the jobs' environment, where their libraries are."""

import subprocess
from typing import Literal

from pipelines.local.environment import child_environment
from pipelines.local.layout import Layout
from pipelines.settings import Settings


def call_inventory(
    settings: Settings, layout: Layout, verb: Literal["list", "stop"]
) -> subprocess.CompletedProcess[str]:
    """Run serving.inventory to its end, whatever that is."""
    return subprocess.run(
        [str(layout.jobs / "bin" / "python"), "-P", "-m", "serving.inventory", verb],
        env=child_environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
