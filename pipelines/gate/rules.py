"""The form's floors and limits. Pure."""

from pipelines.gate.words import name_accuracy, show_apart
from pipelines.request import RunRequest
from serving.job.spec import Spec
from spark_jobs.spec import EvaluateOutcome


class ModelCost(Spec):
    """latency_ms: of one picture on one core, without decoding; model_mb: of the ONNX file."""

    latency_ms: float
    model_mb: float


def find_misses(
    evaluate: EvaluateOutcome, request: RunRequest, cost: ModelCost | None
) -> list[str]:
    """A sentence for each floor or limit that is not met."""
    misses = []
    if evaluate.leaked:
        misses.append(
            f"The model has learned from {evaluate.leaked} of its {evaluate.test_samples} test "
            "samples, so that its numbers prove nothing: train again on a new snapshot."
        )
    accuracy, floor = show_apart(evaluate.accuracy, request.min_accuracy)
    if evaluate.accuracy < request.min_accuracy:
        misses.append(
            f"{name_accuracy(evaluate)} {accuracy} on {evaluate.test_samples} test samples is "
            f"below the floor of {floor} (min_accuracy)."
        )
    if evaluate.macro_f1 < request.min_macro_f1:
        macro, floor = show_apart(evaluate.macro_f1, request.min_macro_f1)
        misses.append(f"Macro-F1 {macro} is below the floor of {floor} (min_macro_f1).")
    weakest = evaluate.weakest
    if weakest is not None and weakest.recall < request.min_class_recall:
        recall, floor = show_apart(weakest.recall, request.min_class_recall)
        misses.append(
            f"Of class {weakest.label!r}, recall {recall} on {weakest.support} test samples is "
            f"below the floor of {floor} (min_class_recall)."
        )
    return misses + _find_excess(request, cost)


def _find_excess(request: RunRequest, cost: ModelCost | None) -> list[str]:
    if cost is None:
        return []
    excess = []
    if 0 < request.max_latency_ms < cost.latency_ms:
        measured, limit = show_apart(cost.latency_ms, request.max_latency_ms, least=1)
        excess.append(f"{measured} ms a picture are over the limit of {limit} (max_latency_ms).")
    if 0 < request.max_model_mb < cost.model_mb:
        measured, limit = show_apart(cost.model_mb, request.max_model_mb, least=1)
        excess.append(f"{measured} MB are over the limit of {limit} (max_model_mb).")
    return excess
