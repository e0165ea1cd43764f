"""After the search: the backbone's last blocks, trained from the winning head on all ranks."""

import copy
import math
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from serving.job.inputs import InputFeatures
from serving.job.search import Recipe, Search, Trial
from training import checkpoint
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.tail import Tail, cut_tail
from training.clock import Clock
from training.export import read_backbone
from training.fit import Fit, Rows, Trained
from training.head_weights import copy_weights
from training.loop import train_head
from training.maps import PATTERN, open_maps
from training.ranks import Ranks
from training.resolved import resolve
from training.search.search import Found, Material
from training.search.trial import Fitted
from training.spec import TrainSpec
from training.tasks.protocol import Arrays, Measured, TaskModel
from training.vectors import find_scaling
from training.winner import Winner, find_winner, select_rows

# Steps that are small for a head are large for weights that know something.
LEARNING_RATE = 5e-4
MOST_EPOCHS = 20
PATIENCE = 3
# With fewer mistakes left, what deeper training mends could not be told from chance.
LEAST_MISTAKES = 20
# Maps, and a few epochs twice, each about as long as a pass of all pictures through the backbone.
LEAST_PASSES = 6.0
NODES_VARIABLE = "PADDLE_NNODES"


class Deep(nn.Layer):
    """Maps [n, c, h, w] → outputs [n, classes]."""

    def __init__(self, tail: Tail, head: nn.Layer) -> None:
        super().__init__()
        self.tail, self.head = tail, head

    def forward(self, maps: paddle.Tensor) -> paddle.Tensor:
        """See the class."""
        outputs: paddle.Tensor = self.head(self.tail(maps))
        return outputs


def find_deepest(spec: TrainSpec, ranks: Ranks, material: Material, task: TaskModel) -> Winner:
    """Find the best head; go deeper where that is promising, and better; the same on every rank."""
    winner = find_winner(spec, ranks, material, task)
    left = max(0.0, spec.search_seconds - winner.found.search.seconds)
    wanted = _is_promising(spec, ranks, material, winner, left) if ranks.leads else False
    if ranks.broadcast(b"1" if wanted else b"0") == b"0":
        return winner
    return _deepen(spec, ranks, material, task, winner=winner, left=left)


def _is_promising(
    spec: TrainSpec, ranks: Ranks, material: Material, winner: Winner, left: float
) -> bool:
    # A head that goes on from an earlier one has learned from the samples that would judge it.
    if spec.deepest == "head" or material.contents is None or winner.resolved.start is not None:
        return False
    # Maps lie on one machine's disk; on cards the whole network would be trained.
    if ranks.device != "cpu" or int(os.environ.get(NODES_VARIABLE, "1").split(":")[0]) > 1:
        return False
    mistakes = (1 - winner.found.fitted.best.accuracy) * len(material.folds.held_out)
    if round(mistakes) < LEAST_MISTAKES:
        return False
    each = winner.given.backbone.latency_ms / 1e3 / ranks.size
    least = LEAST_PASSES * each * len(material.samples)
    return not spec.search_seconds or left >= least


def _deepen(
    spec: TrainSpec,
    ranks: Ranks,
    material: Material,
    task: TaskModel,
    *,
    winner: Winner,
    left: float,
) -> Winner:
    started, joined = time.monotonic(), material.folds.joined
    count = len(material.folds)
    clock = Clock(left, count / (count - 1) if joined else 0.0)
    if ranks.leads:
        print("Training the backbone's last blocks, too, from that head.", flush=True)
    given, recipe = winner.given, winner.resolved.recipe
    rows = select_rows(material, recipe)
    head = winner.trained
    if joined:
        fold = material.folds.folds[0]
        scaling = find_scaling(rows.features, np.unique(fold.train))
        rows = replace(rows, learned=fold.train, judged=fold.held_out, scaling=scaling)
        head = train_head(_fit_head(spec, recipe), ranks, rows, task, spec.scratch_uri)
    before = head.measured
    if before is None:
        raise RuntimeError("the head has nothing to be judged by")
    rows = move_to_maps(spec, ranks, material, given, rows)
    fit = fit_deep(spec, recipe, MOST_EPOCHS)
    clock.start()
    deep = train_deep(spec, fit, ranks, rows, task, head=head, is_over=clock)
    now = deep.measured
    better = now is not None and now.loss < before.loss and now.accuracy > before.accuracy
    if ranks.leads and now is not None:
        print(_compare(before, now, better, clock.over), flush=True)
    seconds = time.monotonic() - started
    found = add_trial(winner.found, fit.recipe, deep, seconds, better=better, cut=clock.over)
    # The leading rank's seconds, as of all else in the account.
    told = ranks.broadcast(found.model_dump_json().encode())
    found = Found.model_validate_json(told)
    if not better:
        return replace(winner, found=found)
    epochs = len(deep.progress.epochs)
    if joined:
        epochs = deep.progress.best_epoch
        whole = replace(select_rows(material, recipe), features=rows.features)
        fit = replace(fit, epochs=epochs)
        deep = train_deep(spec, fit, ranks, whole, task, head=winner.trained)
    fit = replace(fit, epochs=epochs)
    resolved = resolve(fit, ranks, spec.code_version, None)
    resolved = resolved.model_copy(update={"base": winner.resolved})
    return Winner(found, given, deep, resolved)


def _fit_head(spec: TrainSpec, recipe: Recipe) -> Fit:
    return Fit(recipe, spec.seed, spec.max_epochs, spec.patience, spec.min_delta, spec.classes)


def fit_deep(spec: TrainSpec, recipe: Recipe, epochs: int) -> Fit:
    """How the last blocks are trained with a head of some recipe."""
    update = {"depth": "last_blocks", "learning_rate": LEARNING_RATE}
    deep = recipe.model_copy(update=update)
    return Fit(deep, spec.seed, epochs, PATIENCE, spec.min_delta, spec.classes)


def move_to_maps(
    spec: TrainSpec, ranks: Ranks, material: Material, given: InputFeatures, rows: Rows
) -> Rows:
    """The same rows with maps instead of features."""
    if material.contents is None:
        raise RuntimeError("there are no pictures to make maps of")
    tail = Tail(load_pretrained(find_backbone(given.backbone.name)).extractor)
    trunk = cut_tail(read_backbone(given.backbone), tail)
    folder = checkpoint.find_scratch(spec.scratch_uri)
    maps = open_maps(
        trunk,
        given,
        sha256=material.samples.sha256,
        contents=material.contents,
        ranks=ranks,
        folder=folder,
    )
    return replace(rows, features=maps)


def train_deep(
    spec: TrainSpec,
    fit: Fit,
    ranks: Ranks,
    rows: Rows,
    task: TaskModel,
    *,
    head: Trained,
    is_over: Clock | None = None,
) -> Trained:
    """Train pretrained last blocks and a copy of a head together."""
    name = fit.recipe.input.split()[0]
    tail = Tail(load_pretrained(find_backbone(name)).extractor)
    network = Deep(tail, copy.deepcopy(head.head))
    rows = replace(rows, scaling=head.scaling)
    ask = None if is_over is None else is_over.is_over
    return train_head(fit, ranks, rows, task, spec.scratch_uri, network=network, is_over=ask)


def add_trial(
    found: Found, recipe: Recipe, deep: Trained, seconds: float, *, better: bool, cut: bool
) -> Found:
    """The account with the deeper trial; one that the clock has cut does not repeat."""
    if deep.measured is None:
        raise RuntimeError("the last blocks have nothing to be judged by")
    search, chosen = found.search, found.search.chosen
    number = 1 + max(trial.number for trial in search.trials)
    update: dict[str, object] = {
        "number": number,
        "recipe": recipe,
        "loss": deep.measured.loss,
        "accuracy": deep.measured.accuracy,
        "best_epoch": deep.progress.best_epoch,
        "seconds": seconds,
    }
    trial: Trial = chosen.model_copy(update=update)
    account: Search = search.model_copy(
        update={
            "trials": (*search.trials, trial),
            "best": number if better else search.best,
            "seconds": search.seconds + seconds,
            "repeats": search.repeats and not cut,
        }
    )
    if not better:
        return Found(search=account, fitted=found.fitted)
    epochs = deep.progress.epochs
    fitted = Fitted(
        best=deep.measured,
        best_epoch=deep.progress.best_epoch,
        val_loss=tuple(epoch.val_loss or math.nan for epoch in epochs),
        val_accuracy=tuple(epoch.val_accuracy or 0.0 for epoch in epochs),
    )
    return Found(search=account, fitted=fitted)


def split_network(network: nn.Layer) -> tuple[nn.Layer, Arrays | None]:
    """The head alone, and the weights of the last blocks where these were trained."""
    if isinstance(network, Deep):
        return network.head, copy_weights(network.tail)
    return network, None


def clear_maps(folder: Path) -> None:
    """Remove a training's maps, and what a killed attempt left of them."""
    for file in folder.glob(PATTERN):
        file.unlink(missing_ok=True)


def _compare(before: Measured, now: Measured, better: bool, cut: bool) -> str:
    ended = "its time was over" if cut else "nothing got better"
    return (
        f"Last blocks: accuracy {now.accuracy:.4f}, loss {now.loss:.4f}; the head alone on the "
        f"same samples: {before.accuracy:.4f}, {before.loss:.4f}. Ended because {ended}; "
        f"{'taken' if better else 'the head alone is kept'}."
    )
