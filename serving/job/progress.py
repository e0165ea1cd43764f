"""How far a long count is, on a terminal and in a log."""

import sys
import time
from typing import Any

INTERVAL_S = 2.0


class Progress:
    """A bar on a terminal; elsewhere a line with count, total and time left every two seconds."""

    def __init__(self, title: str, total: int) -> None:
        from tqdm import tqdm

        self._tqdm: Any = tqdm
        self._title, self._total, self._count = title, total, 0
        self._start = self._printed = time.monotonic()
        terminal = sys.stdout.isatty()
        self._bar = tqdm(total=total, desc=title, file=sys.stdout) if terminal else None

    def advance(self, count: int = 1) -> None:
        """Count so many more as done."""
        self._count += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._printed >= INTERVAL_S:
            self._print()

    def close(self) -> None:
        """Show the last count."""
        if self._bar is not None:
            self._bar.close()
        else:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        elapsed = self._printed - self._start
        line = self._tqdm.format_meter(
            self._count, self._total, elapsed, prefix=self._title, ncols=80
        )
        print(line, flush=True)
