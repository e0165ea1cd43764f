"""The job replay: a run's final training once more, and whether its weights are the same."""

from training.head_weights import hash_weights, read_start
from training.loop import Fit, train_head
from training.ranks import Ranks, join_ranks
from training.resolved import find_differences, resolve
from training.search.search import gather_material
from training.spec import ReplayOutcome, ReplaySpec
from training.tasks.protocol import load_task
from training.winner import select_rows


def replay(spec: ReplaySpec) -> ReplayOutcome:
    """Train along; the outcome is the same on every rank."""
    data, task = load_task(spec.train.task)
    material = gather_material(spec.train, data)
    ranks = join_ranks(spec.resolved.device)
    fit = _read_fit(spec)
    rows = select_rows(material, fit.recipe)
    trained = train_head(fit, ranks, rows, task, spec.train.scratch_uri)
    return _compare(spec, fit, ranks, hash_weights(trained.head))


def _read_fit(spec: ReplaySpec) -> Fit:
    then = spec.resolved
    return Fit(
        recipe=then.recipe,
        seed=then.seed,
        epochs=then.epochs,
        patience=then.patience,
        min_delta=then.min_delta,
        classes=spec.train.classes,
        start=None if then.start is None else read_start(then.start),
    )


def _compare(spec: ReplaySpec, fit: Fit, ranks: Ranks, weights_sha256: str) -> ReplayOutcome:
    now = resolve(fit, ranks, spec.code_version, spec.resolved.start)
    return ReplayOutcome(
        same=weights_sha256 == spec.weights_sha256,
        weights_sha256=weights_sha256,
        differences=find_differences(spec.resolved, now),
    )
