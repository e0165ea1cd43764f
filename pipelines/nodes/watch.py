"""The first machine's part: it calls the others, and ends the training that one of them left."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing

from pipelines.nodes.board import BEAT_SECONDS, LOST_SECONDS, Board, Call, Pulse, SilentError
from pipelines.nodes.place import MASTER_SETTING, NODES_SETTING
from serving.job.errors import ServiceError, UserError

JOIN_SECONDS = 600.0


class Watch(threading.Thread):
    """Beside a training on several machines: `problem` says why it has ended it, if it has.

    end: ends this machine's processes. say: what people should see of it.
    """

    def __init__(
        self, call: Call, master: str, *, end: Callable[[], None], say: Callable[[str], None]
    ) -> None:
        super().__init__(daemon=True, name="watch over the other machines")
        self._call, self._master, self._end, self._say = call, master, end, say
        self._over = threading.Event()
        self.problem: UserError | ServiceError | None = None

    def __enter__(self) -> "Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Watch until the training is over, or has to be: also where nobody could watch it."""
        try:
            with closing(Board(self._master)) as board:
                self._watch(board)
        except (UserError, ServiceError) as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self.problem = ServiceError(f"The watch over the other machines failed: {error!r}.")
            self.problem.__cause__ = error
        if self.problem is not None:
            self._end()

    def _watch(self, board: Board) -> None:
        others = range(1, self._call.nodes)
        pulses: dict[int, Pulse] = defaultdict(Pulse)
        began, called, here = time.monotonic(), False, 0
        while not self._over.wait(BEAT_SECONDS):
            try:
                if not called:
                    board.write_call(self._call)
                    called = True
                    self._say(f"Calling {len(others)} more of {self._call.nodes} machines.")
                reports = board.read_reports(others)
            except SilentError:
                # It is starting, or has ended, and then so will this thread.
                reports = {}
            for node, report in reports.items():
                if report.problem:
                    kind = UserError if report.mendable else ServiceError
                    raise kind(f"Machine {node} does not take part: {report.problem}")
                if pulses[node].is_lost(report.beat, LOST_SECONDS) and not report.ended:
                    raise ServiceError(
                        f"Machine {node} has said nothing for {LOST_SECONDS:.0f} s: it, or the "
                        f"network to it, is down. Where it comes back, the training goes on with "
                        f"another try; without it, set {NODES_SETTING} to fewer machines."
                    )
            if len(reports) > here:
                here = len(reports)
                self._say(f"{1 + here} of {self._call.nodes} machines are here.")
            if here < len(others) and time.monotonic() - began > JOIN_SECONDS:
                missing = ", ".join(str(node) for node in others if node not in reports)
                raise UserError(
                    f"{1 + here} of {self._call.nodes} machines came within {JOIN_SECONDS:.0f} s. "
                    f"Missing: {missing}. On each of them: ./modelmill node --master "
                    f"{self._master} --rank NUMBER; or set {NODES_SETTING} to fewer machines "
                    f"({MASTER_SETTING} stays), and resume the run."
                )
