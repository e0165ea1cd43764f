"""What a gate reads beside the evaluation; where a run keeps what it decided, and the answer."""

from pipelines.context import RunFiles
from pipelines.gate.answer import Answer, settle
from pipelines.gate.decision import GateDecision
from pipelines.gate.rules import ModelCost
from serving.job import store
from serving.job.search import Search
from training.spec import TrainOutcome

GATE, ASK = "gate", "ask"


def _decision_uri(files: RunFiles) -> str:
    return store.join(files.task_uri(GATE), "gate.json")


def _answer_uri(files: RunFiles) -> str:
    return store.join(files.task_uri(ASK), "answer.json")


def read_cost(train: TrainOutcome) -> ModelCost | None:
    """What the chosen model takes; None where the training's search is not there to say it."""
    try:
        chosen = store.read_model(train.search_uri, Search).chosen
    except FileNotFoundError:
        return None
    return ModelCost(latency_ms=chosen.latency_ms, model_mb=chosen.model_mb)


def write_decision(files: RunFiles, decision: GateDecision) -> None:
    """In place of an earlier one."""
    store.write_model(_decision_uri(files), decision)


def write_answer(files: RunFiles, answer: Answer) -> None:
    """In place of an earlier one."""
    store.write_model(_answer_uri(files), answer)


def read_question(files: RunFiles) -> GateDecision:
    """What the gate decided, whatever was answered; FileNotFoundError where it has not."""
    return store.read_model(_decision_uri(files), GateDecision)


def read_decision(files: RunFiles) -> GateDecision:
    """The same with its answer, where there is one."""
    decision = read_question(files)
    try:
        answer = store.read_model(_answer_uri(files), Answer)
    except FileNotFoundError:
        answer = None
    return settle(decision, answer)
