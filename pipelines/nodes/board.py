"""What the machines of a training tell one another before it, and while it lasts.

Paddle's launcher on the first machine keeps a small store of texts, by which the launchers find
one another; the first machine's call and the others' reports lie there, too, and go with it.
"""

import time
from collections.abc import Iterable, Mapping

import httpx
from pydantic import ValidationError

from serving.job.errors import UserError
from serving.job.spec import Spec
from training.spec import TrainSpec

ANSWER_SECONDS = 5.0
BEAT_SECONDS = 1.0
# Of a machine that says nothing any more.
LOST_SECONDS = 30.0
_CALL, _REPORTS = "/modelmill/call", "/modelmill/reports/"


class Call(Spec):
    """What the first machine asks the others to take part in.

    kind: of devices, the same on all. webhdfs: where the first machine reads the stores.
    """

    nodes: int
    kind: str
    code_version: str
    paddle: str
    webhdfs: str
    spec: TrainSpec


class Report(Spec):
    """A machine's state. token: of this very process there; beat: grows while it lives.

    problem: why it does not take part any more; empty where all is well. mendable: by a person.
    """

    token: str
    beat: int = 0
    ended: bool = False
    problem: str = ""
    mendable: bool = False


class SilentError(Exception):
    """The first machine's launcher does not answer."""


class Board:
    """The texts, as every machine reads and writes them; SilentError where there is no answer.

    UserError where something else answers.
    """

    def __init__(self, master: str) -> None:
        self._master = master
        # A proxy between the machines of a training is never meant.
        self._client = httpx.Client(
            base_url=f"http://{master}", timeout=ANSWER_SECONDS, trust_env=False
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def read_call(self) -> Call | None:
        """The call; None where there is none yet. UserError where another version has made it."""
        text = self._read(_CALL).get(_CALL)
        try:
            return None if text is None else Call.model_validate_json(text)
        except ValidationError:
            raise UserError(
                "The first machine runs another version of modelmill: bring both to the same one."
            ) from None

    def write_call(self, call: Call) -> None:
        """Ask the others."""
        self._write(_CALL, call)

    def read_reports(self, nodes: Iterable[int]) -> dict[int, Report]:
        """Number of each of these machines that has said anything → what it said last.

        UserError where another version has said it.
        """
        texts, reports = self._read(_REPORTS), dict[int, Report]()
        for node in nodes:
            text = texts.get(f"{_REPORTS}{node}")
            try:
                if text is not None:
                    reports[node] = Report.model_validate_json(text)
            except ValidationError:
                raise UserError(
                    f"Machine {node} runs another version of modelmill than this one: bring both "
                    "to the same one."
                ) from None
        return reports

    def write_report(self, node: int, report: Report) -> None:
        """Say how a machine is."""
        self._write(f"{_REPORTS}{node}", report)

    def _read(self, prefix: str) -> Mapping[str, str]:
        try:
            answer = self._client.get(prefix)
            found = answer.json() if answer.status_code == httpx.codes.OK else {}
        except (httpx.HTTPError, ValueError) as error:
            raise SilentError(str(error)) from None
        if not isinstance(found, dict):
            raise UserError(
                f"At {self._master} another program answers than the first machine's training: "
                "name another port there."
            )
        return found

    def _write(self, key: str, value: Spec) -> None:
        try:
            self._client.put(key, content=value.model_dump_json().encode()).raise_for_status()
        except httpx.HTTPError as error:
            raise SilentError(str(error)) from None


class Pulse:
    """Whether something still shows signs of life: values that change."""

    def __init__(self) -> None:
        self._last: object = None
        self._at = time.monotonic()

    def is_lost(self, value: object, limit_s: float) -> bool:
        """Take note of a value; True where it has not changed for so long."""
        now = time.monotonic()
        if value != self._last:
            self._last, self._at = value, now
        return now - self._at > limit_s
