"""The group of processes that train together, one per device."""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import paddle
import paddle.distributed as dist

from serving.job.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """This process's place in the group."""

    rank: int
    size: int
    device: Literal["cpu", "gpu"]

    @property
    def leads(self) -> bool:
        """Only this rank speaks, writes and tracks."""
        return self.rank == 0

    def wrap(self, network: paddle.nn.Layer) -> paddle.nn.Layer:
        """Average gradients over the group at each backward pass."""
        return paddle.DataParallel(network) if self.size > 1 else network

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Element-wise sum over the group; the same on every rank."""
        if self.size == 1:
            return values
        tensor = paddle.to_tensor(values)
        dist.all_reduce(tensor)
        return np.asarray(tensor.numpy())

    def wait(self) -> None:
        """Return when every rank has come here."""
        self.sum(np.zeros(1))

    def broadcast(self, content: bytes) -> bytes:
        """What rank 0 gave, on every rank; the others' content is ignored."""
        if self.size == 1:
            return content
        length = paddle.to_tensor([len(content)], dtype="int64")
        dist.broadcast(length, src=0)
        size = int(length.numpy()[0])
        if size == 0:
            return b""
        values = np.frombuffer(content, dtype=np.uint8) if self.leads else np.zeros(size)
        tensor = paddle.to_tensor(values, dtype="uint8")
        dist.broadcast(tensor, src=0)
        return bytes(tensor.numpy().tobytes())


def join_ranks(devices: Literal["auto", "cpu", "gpu"]) -> Ranks:
    """Join the group that paddle.distributed.launch made; a bare process is a group of one.

    The backend is nccl with one card per rank, gloo on CPU.
    """
    cards = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if devices == "gpu" and cards == 0:
        reason = (
            "no card is visible"
            if paddle.is_compiled_with_cuda()
            else f"PaddlePaddle {paddle.__version__} here is the build for CPU"
        )
        raise UserError(f"devices=gpu, but {reason}. Choose auto or cpu, or install the GPU build.")
    device: Literal["cpu", "gpu"] = "gpu" if cards and devices != "cpu" else "cpu"
    place = dist.ParallelEnv()  # type: ignore[no-untyped-call]
    if device == "gpu" and place.device_id >= cards:
        raise UserError(
            f"rank {place.rank} was given card {place.device_id}, but {cards} are visible: "
            f"start at most {cards} processes."
        )
    if device == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    paddle.set_device(f"gpu:{place.device_id}" if device == "gpu" else "cpu")
    if place.world_size > 1:
        dist.init_parallel_env()
    return Ranks(rank=place.rank, size=place.world_size, device=device)
