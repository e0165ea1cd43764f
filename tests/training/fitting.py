"""The final training of a tiny snapshot, and of last blocks, without a search before it."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.local.second_home import find_free_ports
from serving.job.search import Recipe
from tests.training.conftest import start_ranks
from training import checkpoint
from training.checkpoint import Checkpoint
from training.depths import WAYS, Setting, fit_deep, train_deep
from training.fit import Fit, Rows, Trained
from training.loop import train_head
from training.ranks import Ranks
from training.search.search import Material, gather_material
from training.spec import TrainSpec
from training.tasks.protocol import load_task
from training.winner import select_rows

ALONE = Ranks(rank=0, size=1, device="cpu")


def fit_of(spec: TrainSpec, **changes: Any) -> Fit:
    """The hand-set recipe on the first input."""
    recipe = Recipe(input=spec.inputs[0].name, **changes)
    return Fit(recipe, spec.seed, spec.max_epochs, spec.patience, spec.min_delta, spec.classes)


def material_of(spec: TrainSpec) -> Material:
    """Everything that is read of a snapshot."""
    return gather_material(spec, load_task(spec.task)[0])


def rows_of(spec: TrainSpec) -> Rows:
    """As if the val side were large enough to stop by."""
    material = material_of(spec)
    rows = select_rows(material, fit_of(spec).recipe)
    val = material.samples.val
    return replace(rows, learned=np.flatnonzero(~val), judged=np.flatnonzero(val))


def fit_alone(spec: TrainSpec, rows: Rows | None = None, **changes: Any) -> Trained:
    """Train in this process."""
    task = load_task(spec.task)[1]
    chosen = rows_of(spec) if rows is None else rows
    return train_head(fit_of(spec, **changes), ALONE, chosen, task, spec.scratch_uri)


def set_up(spec: TrainSpec, ranks: Ranks) -> Setting:
    """What deeper trainings on the first input share."""
    return Setting(spec, ranks, material_of(spec), load_task(spec.task)[1], spec.inputs[0])


def fit_deep_too(
    spec: TrainSpec, ranks: Ranks, head: Trained, epochs: int, **changes: float
) -> Trained:
    """Train as deep as the spec says with a head that was trained on all of a snapshot."""
    setting, way = set_up(spec, ranks), WAYS[spec.deepest]
    recipe = way.choose_first(fit_of(spec).recipe, setting.given)
    fit = fit_deep(spec, way.change(recipe, changes), epochs)
    rows = replace(select_rows(setting.material, recipe), inputs=way.open_inputs(setting))
    return train_deep(setting, way, fit, rows, head=head)


def start_fit(
    spec: TrainSpec, ranks: int, folder: Path, **environment: str
) -> tuple[subprocess.Popen[str], TrainSpec]:
    """Start the same by Paddle's launcher; the spec with a folder's output and scratch."""
    changes = {name: (folder / name).as_uri() for name in ("output_uri", "scratch_uri")}
    spec = spec.model_copy(update=changes)
    script = Path(__file__).with_name("fit_on_ranks.py")
    return start_ranks(script, spec, ranks, folder, **environment), spec


def fit_on_ranks(spec: TrainSpec, ranks: int, folder: Path) -> list[Checkpoint]:
    """What each rank has at the end; what is killed before goes on from that folder."""
    process, _ = start_fit(spec, ranks, folder)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    files = sorted((folder / "output_uri").glob("rank-*.npz"))
    return [checkpoint.from_bytes(file.read_bytes()) for file in files]


def fit_on_machines(spec: TrainSpec, machines: int, folder: Path) -> list[Checkpoint]:
    """The same by a launcher a machine, one rank and one disk each."""
    master = f"127.0.0.1:{find_free_ports(1)[0]}"
    shared = {"PADDLE_MASTER": master, "PADDLE_NNODES": str(machines)}
    own = {"POD_IP": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    started = [
        start_fit(spec, 1, folder / str(node), **shared, **own, PADDLE_RANK=str(node))[0]
        for node in range(machines)
    ]
    for process in started:
        printed, _ = process.communicate(timeout=300)
        assert process.returncode == 0, printed
    files = [folder / str(node) / "output_uri" / f"rank-{node}.npz" for node in range(machines)]
    return [checkpoint.from_bytes(file.read_bytes()) for file in files]


def deepen_on_ranks(spec: TrainSpec, ranks: int, folder: Path) -> tuple[str, Path]:
    """A job that goes as deep as asked, whatever it gains, and its replay.

    What was printed, and the job's own folder.
    """
    tracking = f"sqlite:///{folder / 'mlflow.db'}"
    script = Path(__file__).with_name("deepen_always.py")
    process = start_ranks(script, spec, ranks, folder / "work", MODELMILL_MLFLOW_URI=tracking)
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed, Path(spec.output_uri.removeprefix("file://"))
