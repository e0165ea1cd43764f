"""The group of processes that train together, one per device, on one machine or several."""

import itertools
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import paddle
import paddle.distributed as dist
from paddle.distributed.communication.group import Group
from paddle.framework import core

from serving.job.errors import ServiceError, UserError
from training.cpu import use_fast_products

# Set by the launcher.
NODES_VARIABLE, PLACE_VARIABLE = "PADDLE_NNODES", "PADDLE_LOCAL_RANK"
# In what Paddle says when a peer is gone: the sources of its transport and of its meeting place.
LOST = ("/gloo/", "tcp_store", "tcp_utils")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.001, 0.25
# HOST:PORT of rank 0, set by the launcher.
LEADER_VARIABLE = "PADDLE_MASTER"
LEADER_LOOK_S, LEADER_LIMIT_S = 0.02, 30.0
# What is raised on all ranks where one meets it.
SHARED: dict[str, type[UserError] | type[ServiceError]] = {
    "user": UserError,
    "service": ServiceError,
}


@dataclass(frozen=True)
class Ranks:
    """This process's place in the group.

    nodes: machines that the group is spread over; node: this process's. group: Paddle's; None for
    all processes. near: this machine's processes alone; None where that is the same group.
    """

    rank: int
    size: int
    device: Literal["cpu", "gpu"]
    nodes: int = 1
    node: int = 0
    group: Group | None = None
    near: "Ranks | None" = None
    _meetings: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)

    @property
    def here(self) -> "Ranks":
        """This machine's processes: those that share a disk."""
        return self.near or self

    @property
    def leads(self) -> bool:
        """Only this rank speaks, writes and tracks."""
        return self.rank == 0

    def wrap(self, network: paddle.nn.Layer) -> paddle.nn.Layer:
        """Average gradients over the group at each backward pass."""
        return paddle.DataParallel(network, group=self.group) if self.size > 1 else network

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Element-wise sum over the group; the same on every rank."""
        if self.size == 1:
            return values
        tensor = paddle.to_tensor(values)
        dist.all_reduce(tensor, group=self.group)
        return np.asarray(tensor.numpy())

    def wait(self) -> None:
        """Return when every rank has come here, however late the last one is.

        Everything else here gives up, on CPU, when another rank comes half a minute later.
        """
        self.meet("")

    @contextmanager
    def share_errors(self) -> Iterator[None]:
        """Around what may fail on one rank alone: what it raises for a person, all raise.

        Ends, as wait does, when every rank is through.
        """
        if self.size == 1:
            yield
            return
        word, own = "", None
        try:
            yield
        except tuple(SHARED.values()) as error:
            kind = next(name for name, one in SHARED.items() if isinstance(error, one))
            word, own = f"{kind}:{error}", error
        if told := self.meet(word):
            kind, _, text = told.partition(":")
            raise SHARED[kind](text) from own

    def meet(self, word: str) -> str:
        """Wait for every rank; the word of one that came with any, the same on all."""
        if self.size == 1:
            return word
        name = "all" if self.group is None else f"group-{self.group.id}"
        key = f"meeting/{name}/{next(self._meetings)}"
        store = core.create_or_get_global_tcp_store()
        if word and store.add(f"{key}/words", 1) == 1:
            store.set(f"{key}/word", word)
        store.add(key, 1)
        _await_count(store, key, self.size)
        told = bytes(store.get(f"{key}/word")).decode() if store.add(f"{key}/words", 0) else ""
        store.add(f"{key}/through", 1)
        if self.rank == 0 and self.node == 0:
            # The store is this process: were it to end now, the others would ask nobody.
            _await_count(store, f"{key}/through", self.size)
        return told

    def broadcast(self, content: bytes) -> bytes:
        """What rank 0 gave, on every rank; the others' content is ignored."""
        if self.size == 1:
            return content
        source = 0 if self.group is None else self.group.ranks[0]
        length = paddle.to_tensor([len(content)], dtype="int64")
        dist.broadcast(length, src=source, group=self.group)
        size = int(length.numpy()[0])
        if size == 0:
            return b""
        values = np.frombuffer(content, dtype=np.uint8) if self.leads else np.zeros(size)
        tensor = paddle.to_tensor(values, dtype="uint8")
        dist.broadcast(tensor, src=source, group=self.group)
        return bytes(tensor.numpy().tobytes())


def _await_count(store: core.Store, key: str, count: int) -> None:
    pause = FIRST_PAUSE_S
    while store.add(key, 0) < count:
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


@contextmanager
def explain_loss() -> Iterator[None]:
    """Turn what Paddle says of a peer that is gone into a ServiceError."""
    try:
        yield
    except Exception as error:
        # Paddle raises another type for each of its codes.
        if isinstance(error, ServiceError) or not any(word in str(error) for word in LOST):
            raise
        raise ServiceError(
            "Another process of this training has ended, or cannot be reached any more: the log of "
            "its machine says why. Run the task again: it goes on where it was."
        ) from error


def _await_leader() -> None:
    """Return once rank 0 listens, or after a while; Paddle itself looks every three seconds."""
    host, _, port = os.environ.get(LEADER_VARIABLE, "").rpartition(":")
    deadline = time.monotonic() + LEADER_LIMIT_S
    while host and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), LEADER_LIMIT_S).close()
        except OSError:
            time.sleep(LEADER_LOOK_S)
        else:
            return


def join_ranks(devices: Literal["auto", "cpu", "gpu"]) -> Ranks:
    """Join the group that paddle.distributed.launch made; a bare process is a group of one.

    The backend is nccl with one card per rank, gloo on CPU. A device that one lacks is a UserError
    on all.
    """
    use_fast_products()
    place = dist.ParallelEnv()  # type: ignore[no-untyped-call]
    nodes = int(os.environ.get(NODES_VARIABLE, "1").split(":")[0])
    ranks = Ranks(rank=place.rank, size=place.world_size, device="cpu", nodes=nodes)
    if place.rank:
        _await_leader()
    with ranks.share_errors():
        ranks = replace(ranks, device=_choose_device(devices, place))
    if ranks.device == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    paddle.set_device(f"gpu:{place.device_id}" if ranks.device == "gpu" else "cpu")
    if ranks.size > 1:
        dist.init_parallel_env()
    return ranks if nodes == 1 else _find_near(ranks, int(os.environ[PLACE_VARIABLE]))


def _choose_device(
    devices: Literal["auto", "cpu", "gpu"], place: dist.ParallelEnv
) -> Literal["cpu", "gpu"]:
    """Of this process; UserError where there is none such."""
    cards = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if devices == "gpu" and cards == 0:
        reason = (
            "no card is visible"
            if paddle.is_compiled_with_cuda()
            else f"PaddlePaddle {paddle.__version__} here is the build for CPU"
        )
        raise UserError(f"devices=gpu, but {reason}. Choose auto or cpu, or install the GPU build.")
    device: Literal["cpu", "gpu"] = "gpu" if cards and devices != "cpu" else "cpu"
    if device == "gpu" and place.device_id >= cards:
        raise UserError(
            f"rank {place.rank} was given card {place.device_id}, but {cards} are visible: "
            f"start at most {cards} processes."
        )
    return device


def _find_near(ranks: Ranks, place: int) -> Ranks:
    """The same with this machine's own group; place: this process's on its machine."""
    begins = np.zeros(ranks.size)
    begins[ranks.rank] = place == 0
    starts = [int(start) for start in np.flatnonzero(ranks.sum(begins))]
    spans = [range(*ends) for ends in itertools.pairwise([*starts, ranks.size])]
    # Every process makes all of them, in the same order.
    groups = [dist.new_group(list(span)) for span in spans]
    node = next(node for node, span in enumerate(spans) if ranks.rank in span)
    near = Ranks(place, len(spans[node]), ranks.device, node=node, group=groups[node])
    return replace(ranks, node=node, near=near)
