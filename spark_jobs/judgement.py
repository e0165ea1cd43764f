"""All that is found out from scored samples, beside pictures."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.bundle.manifest import ONE, SEVERAL, Manifest, Task
from serving.bundle.operating_point import OperatingPoint
from serving.job.evaluation import BadCase, BadCases, ChosenOn, Evaluation, Unknown
from serving.job.suspects import Suspect, Suspects
from spark_jobs.champion import measure_champion
from spark_jobs.facts import FactsCache
from spark_jobs.held_out import read_train_side
from spark_jobs.metrics.declining import choose_surely, choose_threshold, measure_declining
from spark_jobs.metrics.evaluation import Thresholds, choose_thresholds, evaluate_scores
from spark_jobs.neighbours import find_neighbours
from spark_jobs.reasons import Evidence, list_reasons
from spark_jobs.reference import HeldTo, measure_reference
from spark_jobs.scored import pick_worst
from spark_jobs.slices import add_facts, find_worst_slices
from spark_jobs.spec import Champion, ClassMetrics, EvaluateSpec
from spark_jobs.strangers import measure_unknown
from spark_jobs.suspects import find_suspects, read_out_of_fold

# More mistakes than anybody looks at; the predictions hold all of them.
MOST_BAD_CASES = 10_000
# Those whose neighbours are looked for: each is compared with the whole train side.
MOST_COMPARED = 1_000


@dataclass(frozen=True)
class Found:
    """What the evaluation found, beside pictures."""

    evaluation: Evaluation
    champion: Champion
    reference: Champion | None
    cases: BadCases
    suspects: Suspects
    manifest: Manifest


def list_class_metrics(evaluation: Evaluation) -> tuple[ClassMetrics, ...]:
    """The per-class table without what needs scores."""
    names = set(ClassMetrics.model_fields)
    return tuple(ClassMetrics(**row.model_dump(include=names)) for row in evaluation.per_class)


def find_weakest(evaluation: Evaluation) -> ClassMetrics | None:
    """The class of the lowest recall; of equal ones that with the most samples."""
    tested = [row for row in list_class_metrics(evaluation) if row.support]
    return min(tested, key=lambda row: (row.recall, -row.support, row.label), default=None)


def _estimate_unknown(
    spec: EvaluateSpec, spark: SparkSession, classes: tuple[str, ...]
) -> Unknown | None:
    if spec.features is None:
        return None
    return measure_unknown(spark, spec.labels_uri, spec.features.features_uri, classes)


def _choose_thresholds(
    spec: EvaluateSpec, val: DataFrame, manifest: Manifest
) -> tuple[Thresholds, float | None]:
    """Of the classes, and below which the model declines; None: it does not.

    By scores of a model that has not learned from the sample: of others it is surer.
    """
    classes = manifest.classes
    if manifest.task == SEVERAL:
        given = dict(zip(classes, manifest.thresholds, strict=True))
        reached = {name: one for name, one in given.items() if one <= 1}
        unreached = frozenset(given.keys() - reached.keys())
        return Thresholds(reached, unreached, spec.min_precision), None
    chosen_on = find_chosen_on(spec)
    if chosen_on == "nothing":
        return Thresholds({}), None
    if chosen_on == "val":
        thresholds = choose_thresholds(val, classes, min_precision=spec.min_precision)
        return thresholds, choose_threshold(val, classes)
    known = read_out_of_fold(val.sparkSession, spec.out_of_fold_uri, spec.labels_uri)
    thresholds = choose_thresholds(known, classes, min_precision=spec.min_precision)
    return thresholds, choose_surely(known, classes)


def find_chosen_on(spec: EvaluateSpec, task: Task = ONE) -> ChosenOn:
    """What thresholds are chosen on: here, or by the training where there are several labels."""
    # Where more than the head was trained, scores of heads alone are another network's: they
    # choose only where labels need some threshold, and nothing else is there.
    folds = bool(spec.out_of_fold_uri) and not spec.deepened
    if not spec.val_learned:
        return "folds" if folds and task == SEVERAL else "val"
    if task == SEVERAL and spec.out_of_fold_uri and spec.deepened:
        return "heads"
    return "folds" if folds else "nothing"


def _evaluate(
    spec: EvaluateSpec, val: DataFrame, test: DataFrame, manifest: Manifest
) -> Evaluation:
    """Thresholds as chosen, everything else from the test side; test: with facts."""
    classes, task = manifest.classes, manifest.task
    thresholds, accepted = _choose_thresholds(spec, val, manifest)
    evaluation = evaluate_scores(test, classes, task=task, seed=spec.seed, thresholds=thresholds)
    declining = None
    if accepted is not None:
        declining = measure_declining(test, classes, accepted)
        unknown = _estimate_unknown(spec, val.sparkSession, classes)
        declining = declining.model_copy(update={"unknown": unknown})
    slices = find_worst_slices(test, evaluation.accuracy, task)
    chosen_on = find_chosen_on(spec, task)
    update = {"declining": declining, "slices": slices, "chosen_on": chosen_on}
    return evaluation.model_copy(update=update)


def choose_operating_point(
    spec: EvaluateSpec, evaluation: Evaluation, model_sha256: str
) -> OperatingPoint | None:
    """What the server is told of it; None where nothing was, or the bundle has it already."""
    declining = evaluation.declining
    thresholds = {
        row.label: row.threshold for row in evaluation.per_class if row.threshold is not None
    }
    if evaluation.task == SEVERAL or not (thresholds or declining):
        return None
    return OperatingPoint(
        model_sha256=model_sha256,
        run_id=spec.run_id,
        snapshot_id=spec.snapshot_id,
        decline_below=declining.threshold if declining else 0.0,
        class_thresholds=thresholds,
    )


def _find_suspects(spec: EvaluateSpec, scored: DataFrame, manifest: Manifest) -> Suspects:
    """By scores of a model that has not learned from the sample."""

    def find(rows: DataFrame) -> tuple[Suspect, ...]:
        return find_suspects(rows, manifest.classes, MOST_BAD_CASES, manifest.task)

    if not spec.out_of_fold_uri:
        sides = ("test",) if spec.val_learned else ("val", "test")
        rows = scored.where(F.col("side").isin(*sides))
        return Suspects(suspects=find(rows), sides=sides)
    learned = read_out_of_fold(scored.sparkSession, spec.out_of_fold_uri, spec.labels_uri)
    # Each by what is usual there: a model of all samples is surer than one of a part.
    found = find(learned)
    found += find(scored.where(F.col("side") == "test"))
    ranked = sorted(found, key=lambda one: (-one.suspicion, one.sha256))
    return Suspects(suspects=tuple(ranked[:MOST_BAD_CASES]), sides=("train", "val", "test"))


def _explain(
    spec: EvaluateSpec,
    test: DataFrame,
    evaluation: Evaluation,
    suspects: Suspects,
    cases: list[BadCase],
) -> tuple[BadCase, ...]:
    """Neighbours, and reasons."""
    compared = [case.sha256 for case in cases[:MOST_COMPARED]]
    near = {}
    if spec.features is not None and compared:
        train = read_train_side(test.sparkSession, spec.labels_uri)
        near = find_neighbours(test.sparkSession, spec.features.features_uri, train, compared)
    wrong = test.where((F.col("predicted") != F.col("label")) & (F.size("flags") > 0))
    flags = {row["sha256"]: row["flags"] for row in wrong.select("sha256", "flags").collect()}
    doubted = {one.sha256: one for one in suspects.suspects}
    explained = []
    for case in cases:
        with_near = case.model_copy(update={"neighbours": near.get(case.sha256, ())})
        evidence = Evidence(evaluation, flags.get(case.sha256, ()), doubted.get(case.sha256))
        reasons = list_reasons(with_near, evidence)
        explained.append(with_near.model_copy(update={"reasons": reasons}))
    return tuple(explained)


def judge(
    spark: SparkSession,
    spec: EvaluateSpec,
    scored: DataFrame,
    manifest: Manifest,
    *,
    champion: Champion,
    theirs: tuple[str, ...] = (),
    without: frozenset[str] = frozenset(),
    held_to: HeldTo | None = None,
) -> Found:
    """scored: rows of SCORED of both sides. theirs: the champion's classes, where it was scored.

    without: samples on which the two cannot be compared, for one of them has learned from those.
    held_to: None where the champion is the reference.
    """
    classes, task = manifest.classes, manifest.task
    val, test = (scored.where(F.col("side") == side) for side in ("val", "test"))
    seen = add_facts(test, FactsCache(spark, spec.facts_uri) if spec.facts_uri else None)
    evaluation = _evaluate(spec, val, seen, manifest)
    if theirs:
        champion = measure_champion(champion, test, classes, theirs, without, task=task)
    reference = measure_reference(held_to, test, manifest)
    suspects = _find_suspects(spec, scored, manifest)
    cases = pick_worst(test, manifest, MOST_BAD_CASES)
    explained = _explain(spec, seen, evaluation, suspects, cases)
    left_out = evaluation.wrong - len(explained)
    bad = BadCases(cases=explained, left_out=left_out)
    return Found(evaluation, champion, reference, bad, suspects, manifest)
