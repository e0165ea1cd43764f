"""After the search: the backbone's last blocks, trained from the winning head on all ranks."""

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from serving.job.inputs import InputFeatures
from serving.job.search import Recipe
from training import checkpoint
from training.backbones.catalogue import find_backbone, load_pretrained
from training.backbones.tail import Tail, cut_tail
from training.batches import SMALLEST
from training.clock import CLOCK_FILE, CLOCK_PATTERN, Clock
from training.comparison import add_trial, describe, find_measured, is_better
from training.export import read_backbone
from training.fit import Fit, Rows, Trained
from training.head_weights import copy_weights
from training.loop import IsOver, Trainer, train_head
from training.maps import MAPS_PATTERN, open_maps
from training.pictures import PICTURES_PATTERN
from training.ranks import Ranks
from training.resolved import resolve
from training.search.folds import Folds
from training.search.search import Found, Material
from training.spec import TrainSpec
from training.tasks.protocol import Arrays, TaskModel
from training.vectors import find_scaling
from training.winner import Winner, find_winner, select_rows

# At its height, of head and blocks: smaller ones ended with a larger loss on digits.
LEARNING_RATE = 1e-3
MOST_EPOCHS = 12
# With fewer, the learning rate would fall before anything is learned.
LEAST_EPOCHS = 4
# With fewer mistakes left among what judges, what is mended could not be told from chance.
LEAST_MISTAKES = 8
# Maps, and epochs twice, each about half as long as a pass of all pictures through the backbone.
LEAST_PASSES = 1.0 + LEAST_EPOCHS
TIMED_STEPS = 3
# Of what a picture to learn from takes.
SHARE_OF_JUDGING = 0.4


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
    wanted = ranks.leads and _is_promising(spec, ranks, material, winner)
    if ranks.broadcast(b"1" if wanted else b"0") == b"0":
        return winner
    in_time = ranks.leads and _is_in_time(spec, ranks, material, winner, left)
    if ranks.broadcast(b"1" if in_time else b"0") == b"0":
        if ranks.leads:
            print("There is no time for the last blocks: the head alone is kept.", flush=True)
        return _keep_for_time(winner)
    return _deepen(spec, ranks, material, task, winner=winner, left=left)


def _is_promising(spec: TrainSpec, ranks: Ranks, material: Material, winner: Winner) -> bool:
    # A head that goes on from an earlier one has learned from the samples that would judge it.
    if spec.deepest == "head" or material.contents is None or winner.resolved.start is not None:
        return False
    # Maps lie on one machine's disk; on cards the whole network would be trained.
    if ranks.device != "cpu" or ranks.nodes > 1:
        return False
    if not has_gain_in_sight(material.folds, winner.found.fitted.best.accuracy):
        return False
    if winner.given.backbone.weights is not None:
        print("Last blocks are trained of EfficientNet-Lite only: the head alone is kept.")
        return False
    return True


def _is_in_time(
    spec: TrainSpec, ranks: Ranks, material: Material, winner: Winner, left: float
) -> bool:
    each = winner.given.backbone.latency_ms / 1e3 / ranks.size
    least = LEAST_PASSES * each * len(material.samples)
    return not spec.search_seconds or left >= least


def _keep_for_time(winner: Winner) -> Winner:
    """The head alone, where the clock has decided so: with more time it might be another model."""
    search = winner.found.search.model_copy(update={"repeats": False})
    return replace(winner, found=winner.found.model_copy(update={"search": search}))


def has_gain_in_sight(folds: Folds, accuracy: float) -> bool:
    """Whether a head of some accuracy leaves enough mistakes in the fold that judges."""
    return round((1 - accuracy) * len(folds.folds[0].held_out)) >= LEAST_MISTAKES


def _deepen(
    spec: TrainSpec,
    ranks: Ranks,
    material: Material,
    task: TaskModel,
    *,
    winner: Winner,
    left: float,
) -> Winner:
    joined = material.folds.joined
    clock = make_clock(spec, len(material.folds) if joined else 0, left)
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
    rows = move_to_maps(spec, ranks, material, given, rows)
    fit = _plan(fit_deep(spec, recipe, MOST_EPOCHS), ranks, rows, task, clock=clock, head=head)
    if fit.epochs < LEAST_EPOCHS:
        if ranks.leads:
            print(f"There is time for {fit.epochs} epochs, too few: the head alone is kept.")
        return _keep_for_time(winner)
    deep = train_deep(spec, fit, ranks, rows, task, head=head, is_over=clock.is_over)
    before, now = find_measured(head), find_measured(deep)
    if ranks.leads:
        print(describe(before, now, clock.over), flush=True)
    cut = clock.over or fit.horizon < MOST_EPOCHS
    found = add_trial(winner.found, fit.recipe, head, deep, seconds=clock.used, cut=cut)
    # The leading rank's seconds, as of all else in the account.
    told = ranks.broadcast(found.model_dump_json().encode())
    found = Found.model_validate_json(told)
    if not is_better(before, now):
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


def make_clock(spec: TrainSpec, joined_folds: int, left: float) -> Clock:
    """The clock of a training; joined_folds: 0 where the first training is the final one, too."""
    path = checkpoint.find_scratch(spec.scratch_uri) / CLOCK_FILE
    key = spec.model_copy(update={"output_uri": ""}).fingerprint()
    again = joined_folds / (joined_folds - 1) if joined_folds else 0.0
    return Clock(path, key, left, again)


def _plan(
    fit: Fit, ranks: Ranks, rows: Rows, task: TaskModel, *, clock: Clock, head: Trained
) -> Fit:
    """As many epochs as there is time for: the learning rate falls until the last of them."""
    each = _time_epoch(fit, ranks, rows, task, head) if clock.limited else 0.0
    told = str(clock.plan(each, fit.epochs)) if ranks.leads else ""
    epochs = int(ranks.broadcast(told.encode()))
    return replace(fit, epochs=epochs, patience=max(1, epochs), horizon=epochs)


def _time_epoch(fit: Fit, ranks: Ranks, rows: Rows, task: TaskModel, head: Trained) -> float:
    """Seconds of an epoch, from a few steps of a training that is thrown away."""
    few = rows.learned[: TIMED_STEPS * SMALLEST]
    some = replace(rows, learned=few, judged=rows.judged[:0])
    trainer = Trainer(fit, ranks, some, task, _build(fit, head))
    # The first steps are slower.
    trainer.run_epoch()
    started = time.monotonic()
    trainer.run_epoch()
    learned = len(rows.learned) + SHARE_OF_JUDGING * len(rows.judged)
    return (time.monotonic() - started) * learned / len(few)


def _fit_head(spec: TrainSpec, recipe: Recipe) -> Fit:
    return Fit(recipe, spec.seed, spec.max_epochs, spec.patience, spec.min_delta, spec.classes)


def fit_deep(spec: TrainSpec, recipe: Recipe, epochs: int) -> Fit:
    """How the last blocks are trained with a head of some recipe."""
    update = {"depth": "last_blocks", "learning_rate": LEARNING_RATE}
    deep = recipe.model_copy(update=update)
    return Fit(deep, spec.seed, epochs, epochs, spec.min_delta, spec.classes, horizon=epochs)


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
    is_over: IsOver | None = None,
) -> Trained:
    """Train pretrained last blocks and a copy of a head together."""
    rows = replace(rows, scaling=head.scaling)
    network = _build(fit, head)
    return train_head(fit, ranks, rows, task, spec.scratch_uri, network=network, is_over=is_over)


def _build(fit: Fit, head: Trained) -> Deep:
    """Pretrained last blocks with a copy of a head."""
    name = fit.recipe.input.split()[0]
    tail = Tail(load_pretrained(find_backbone(name)).extractor)
    return Deep(tail, copy.deepcopy(head.head))


def split_network(network: nn.Layer) -> tuple[nn.Layer, Arrays | None]:
    """The head alone, and the weights of the last blocks where these were trained."""
    if isinstance(network, Deep):
        return network.head, copy_weights(network.tail)
    return network, None


def clear_scratch(folder: Path) -> None:
    """Remove a training's maps, pictures and clock, and what a killed attempt left of them."""
    for pattern in (MAPS_PATTERN, PICTURES_PATTERN, CLOCK_PATTERN):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
