"""Another machine's part: it waits for the first one's calls, and trains along."""

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

import httpx

from pipelines.artifacts import RUN_ID
from pipelines.code import code_version
from pipelines.commands import Command, SparkMaster
from pipelines.context import Installation, make_installation, publish_addresses
from pipelines.devices import DeviceError, count_gpus, find_paddle
from pipelines.local.environment import bypass_proxy
from pipelines.nodes.board import (
    BEAT_SECONDS,
    LOST_SECONDS,
    Board,
    Call,
    Pulse,
    Report,
    SilentError,
)
from pipelines.nodes.place import NODES_SETTING, find_place
from pipelines.process import end_group, tie_to_parent
from pipelines.steps import Surroundings, launch_training, name_job
from serving.job import store
from serving.job.errors import ServiceError, UserError

# Where the first machine has ended the training itself, its launcher is gone by then: also where
# it took longer to meet the same user's error.
GRACE_SECONDS = 15.0
# Long enough for a sign of life.
LOOK_SECONDS = 3 * BEAT_SECONDS


class TakenError(UserError):
    """Another machine has this one's number."""

    def __init__(self, node: int) -> None:
        super().__init__(
            f"Another machine takes part as --rank {node}: give this one another number."
        )


class Node:
    """This machine, as number `node` of those that train together; the first is 0.

    master: HOST:PORT of the first. say: what people should see.
    """

    def __init__(
        self, installation: Installation, master: str, node: int, say: Callable[[str], None]
    ) -> None:
        self._installation, self._node, self._say = installation, node, say
        # Once more for each training; here so that an address that leads nowhere is said at once.
        self._master = find_place(master, nodes=node + 1, node=node, job="").master
        self._board = Board(self._master)
        self._token = uuid.uuid4().hex
        # One installation may be lent to several first machines.
        name = f"{node}-of-{self._master.replace(':', '-')}"
        self._scratch = installation.layout.scratch / "nodes" / name

    def serve(self, *, once: bool) -> bool:
        """Take part in the first machine's trainings; True where the last one went well.

        once: end after one; else with the process alone.
        """
        seen = ""
        try:
            self._say(f"Waiting for a training at {self._master}.")
            while True:
                problem, mendable = "", False
                try:
                    call = self._wait(seen)
                    seen = call.spec.output_uri
                    problem = self._look_back() or self._take_part(call)
                except TakenError:
                    raise
                except (UserError, DeviceError) as error:
                    problem, mendable = str(error), True
                except (OSError, ServiceError) as error:
                    problem = str(error)
                self._end(seen, problem, mendable=mendable)
                if once:
                    return not problem
        finally:
            self._board.close()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _wait(self, seen: str) -> Call:
        """The next call; seen: where the last one's training wrote.

        One that cannot be read is refused.
        """
        refused = False
        while True:
            try:
                call = self._board.read_call()
            except SilentError:
                call, refused = None, False
            except UserError as error:
                call = None
                if not refused:
                    self._say(f"This training cannot be joined: {error}")
                    refused = True
                with suppress(SilentError):
                    report = Report(token=self._token, problem=str(error), mendable=True)
                    self._board.write_report(self._node, report)
            if call is not None and call.spec.output_uri != seen:
                return call
            time.sleep(BEAT_SECONDS)

    def _look_back(self) -> str:
        """Why this training is over for this machine already; empty where it is not. TakenError."""
        earlier = self._read_own()
        if earlier is None:
            return ""
        time.sleep(LOOK_SECONDS)
        if self._read_own() == earlier:
            return "It was started anew meanwhile."
        raise TakenError(self._node)

    def _read_own(self) -> Report | None:
        try:
            return self._board.read_reports((self._node,)).get(self._node)
        except SilentError:
            return None

    def _take_part(self, call: Call) -> str:
        """Train along; why that ended before its time, empty where it did not. UserError."""
        command, environment = self._prepare(call)
        self._say(f"Run {call.spec.run_id}: training along as machine {self._node}.")
        process = subprocess.Popen(
            tie_to_parent(command.argv),
            env={**environment, **command.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return self._accompany(process, call)
        finally:
            end_group(process.pid)
            process.wait()

    def _prepare(self, call: Call) -> tuple[Command, dict[str, str]]:
        """What to start, and its environment; UserError, DeviceError."""
        settings = self._installation.settings
        if not settings.webhdfs_uri:
            settings = settings.model_copy(update={"webhdfs_uri": call.webhdfs})
        installation = make_installation(settings)
        self._check(call, installation)
        spec = call.spec
        folder = self._scratch / spec.run_id
        for old in self._scratch.glob("*"):
            if old != folder:
                shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        update = {"devices": call.kind, "scratch_uri": folder.as_uri()}
        environment = installation.job_environment()
        place = find_place(self._master, nodes=call.nodes, node=self._node, job=name_job(spec))
        around = Surroundings(
            installation, SparkMaster(master=settings.spark_master), count_gpus(environment)
        )
        return launch_training(spec.model_copy(update=update), around, place), environment

    def _check(self, call: Call, installation: Installation) -> None:
        """UserError where this machine's part would fail, or be another one's."""
        # Nobody asked who calls, and it becomes a folder's name here.
        if not RUN_ID.fullmatch(call.spec.run_id):
            raise UserError(f"{call.spec.run_id!r} is no id of a run of modelmill.")
        if self._node >= call.nodes:
            raise UserError(
                f"It was started as --rank {self._node}, but {call.nodes} machines train: allowed "
                f"are 1 to {call.nodes - 1} ({NODES_SETTING} on the first machine)."
            )
        for what, own, wanted in (
            ("code", code_version(), call.code_version),
            ("PaddlePaddle", find_paddle(installation.layout.jobs), call.paddle),
        ):
            if own != wanted:
                raise UserError(
                    f"Its version of {what} is {own or 'none'}, the first machine's {wanted}: "
                    "bring both to the same one."
                )
        publish_addresses(installation)
        address = installation.settings.webhdfs_address
        os.environ.update(bypass_proxy(os.environ, httpx.URL(address).host))
        try:
            found = store.exists(call.spec.labels_uri)
        except (OSError, ServiceError) as error:
            raise UserError(
                f"It cannot read HDFS at {address}: {error}. The first machine's stores must "
                "listen on an address that the others reach (MODELMILL_HOST there)."
            ) from None
        if not found:
            raise UserError(f"HDFS at {address} has no {call.spec.labels_uri}: it is another one.")

    def _accompany(self, process: subprocess.Popen[bytes], call: Call) -> str:
        """Give signs of life until the processes end; why they did, empty where all went well.

        TakenError where another machine began together with this one, which both then saw free.
        """
        pulse, beat = Pulse(), 0
        while process.poll() is None:
            try:
                now = self._board.read_call()
                if now is None or now.spec.output_uri != call.spec.output_uri:
                    return "The first machine has begun another training."
                own = self._read_own()
                # Of two, the one that wrote last stays. One that refuses takes no part.
                if own is not None and own.token != self._token and not own.problem:
                    raise TakenError(self._node)
                self._board.write_report(self._node, Report(token=self._token, beat=beat))
                beat += 1
            except SilentError:
                pass
            if pulse.is_lost(beat, LOST_SECONDS):
                return f"The first machine has not answered for {LOST_SECONDS:.0f} s."
            time.sleep(BEAT_SECONDS)
        code = process.returncode
        return f"Its processes ended with exit code {code}; its log says why." if code else ""

    def _end(self, seen: str, problem: str, *, mendable: bool) -> None:
        """Say how it ended, here and, where that still asks, to the first machine."""
        if problem:
            self._say(f"This training is over: {problem}")
        else:
            self._say("This training is over.")
            shutil.rmtree(self._scratch, ignore_errors=True)
        if problem and not mendable:
            time.sleep(GRACE_SECONDS)
        report = Report(token=self._token, ended=True, problem=problem, mendable=mendable)
        until = time.monotonic() + LOST_SECONDS
        while time.monotonic() < until:
            try:
                call = self._board.read_call()
                if call is not None and call.spec.output_uri == seen:
                    self._board.write_report(self._node, report)
            except SilentError:
                # Unheard, this machine would count as lost.
                time.sleep(BEAT_SECONDS)
            except UserError:
                return
            else:
                return
