"""How many training processes this machine gets; cheap to ask, nothing heavy is imported."""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

# A head on cached features gains nothing beyond this, and each process holds about 0.5 GB.
MAX_CPU_RANKS = 8


class DeviceError(Exception):
    """The form asks for devices that are not there; the text says what is."""


class Devices(BaseModel):
    """Kind of device, and the number of processes: one per device."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["cpu", "gpu"]
    ranks: int


def count_gpus(environment: Mapping[str, str], device_folder: Path = Path("/dev")) -> int:
    """NVIDIA cards that a process may use: device nodes, less what CUDA_VISIBLE_DEVICES hides."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    cards = sum(1 for node in device_folder.glob("nvidia*") if node.name[6:].isdigit())
    if visible is None:
        return cards
    # As CUDA does: what stands behind an entry that names no card is not seen.
    named = itertools.takewhile(lambda one: one.strip() not in ("", "-1"), visible.split(","))
    return min(cards, len(list(named)))


def has_cuda_build(jobs_environment: Path) -> bool:
    """True where the jobs' environment holds Paddle's GPU build."""
    return any(jobs_environment.glob("lib/python3*/site-packages/paddlepaddle_gpu-*.dist-info"))


def find_paddle(jobs_environment: Path) -> str:
    """Version of Paddle in the jobs' environment, of either build; empty where there is none."""
    pattern = "lib/python3*/site-packages/paddlepaddle*.dist-info"
    found = sorted(path.name for path in jobs_environment.glob(pattern))
    return found[-1].removesuffix(".dist-info").partition("-")[2] if found else ""


def count_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def choose_devices(wanted: str, gpus: int, cuda_build: bool, cores: int) -> Devices:
    """Turn the form's `devices` into processes; raises DeviceError."""
    usable = gpus if cuda_build else 0
    if wanted == "gpu" and not usable:
        reason = "no card was found" if not gpus else "the jobs' Paddle is the build for CPUs"
        raise DeviceError(f"devices was 'gpu', but {reason}. Choose auto or cpu.")
    if usable and wanted != "cpu":
        return Devices(kind="gpu", ranks=usable)
    return Devices(kind="cpu", ranks=max(1, min(cores, MAX_CPU_RANKS)))
