"""The job replay: a run's final training once more, and whether its weights are the same."""

from dataclasses import replace

from training.depths import WAYS, Setting, train_deep
from training.fit import Fit
from training.head_weights import hash_weights, read_start
from training.loop import train_head
from training.ranks import Ranks, join_ranks
from training.resolved import find_differences, resolve
from training.search.search import gather_material
from training.spec import ReplayOutcome, ReplaySpec, Resolved
from training.tasks.protocol import load_task
from training.winner import select_rows


def replay(spec: ReplaySpec) -> ReplayOutcome:
    """Train along; the outcome is the same on every rank."""
    data, task = load_task(spec.train.task)
    material = gather_material(spec.train, data)
    ranks = join_ranks(spec.resolved.device)
    then = spec.resolved
    fit = _read_fit(spec, then.base or then)
    rows = select_rows(material, fit.recipe)
    trained = train_head(fit, ranks, rows, task, spec.train.scratch_uri)
    if then.base is not None:
        given, way = material.vectors.inputs[then.recipe.input], WAYS[then.recipe.depth]
        setting = Setting(spec.train, ranks, material, task, given)
        fit = _read_fit(spec, then)
        rows = replace(rows, inputs=way.open_inputs(setting))
        trained = train_deep(setting, way, fit, rows, head=trained)
    return _compare(spec, fit, ranks, hash_weights(trained.head))


def _read_fit(spec: ReplaySpec, then: Resolved) -> Fit:
    return Fit(
        recipe=then.recipe,
        seed=then.seed,
        epochs=then.epochs,
        patience=then.patience,
        min_delta=then.min_delta,
        classes=spec.train.classes,
        horizon=then.horizon,
        start=None if then.start is None else read_start(then.start),
    )


def _compare(spec: ReplaySpec, fit: Fit, ranks: Ranks, weights_sha256: str) -> ReplayOutcome:
    now = resolve(fit, ranks, spec.code_version, spec.resolved.start)
    return ReplayOutcome(
        same=weights_sha256 == spec.weights_sha256,
        weights_sha256=weights_sha256,
        differences=find_differences(spec.resolved, now),
    )
