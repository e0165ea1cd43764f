"""What the model search may choose among and how long it may take; from the form and the cards."""

from collections.abc import Sequence
from typing import get_args

from pipelines.request import AUTO, RunRequest
from serving.bundle.manifest import Preprocessing, Resize
from serving.job.errors import UserError
from serving.job.inputs import Input
from training.spec import BackboneName, ExportBackboneOutcome

# Those that ship; others are added by people, one installation at a time.
BACKBONES: tuple[BackboneName, ...] = get_args(BackboneName)
# Minutes from which that many of the cheapest backbones are offered: each one's features are made
# before the search starts, and the dearest takes more than twice the time of the cheapest.
BACKBONES_FROM_MINUTES = ((0.0, 1), (1.5, 2), (3.0, 3))
# From here on there is also time to see whole pictures, squashed, beside their middle.
SQUASH_FROM_MINUTES = 3.0
# The rest is for features, evaluation, image and deployment, about as long on a small dataset.
SEARCH_SHARE = 0.5


def search_seconds(request: RunRequest) -> float:
    """The search's part of the budget."""
    return 60 * request.budget_minutes * SEARCH_SHARE


def choose_inputs(request: RunRequest, cards: Sequence[ExportBackboneOutcome]) -> tuple[Input, ...]:
    """The best single choice first: the largest backbone with whole proportions.

    cards: of every backbone that is there. Raises UserError where one that was named is not, where
    none meets the limits, or where one that has learned nothing yet would be of no use.
    """
    wanted = _choose_backbones(request, cards)
    resize: Resize = "crop" if request.resize == AUTO else request.resize
    inputs = [_fit(card, resize) for card in reversed(wanted)]
    if request.resize == AUTO and request.budget_minutes >= SQUASH_FROM_MINUTES:
        inputs.append(_fit(wanted[0], "squash"))
    return tuple(inputs)


def _fit(card: ExportBackboneOutcome, resize: Resize) -> Input:
    return Input(backbone=card.file, preprocessing=Preprocessing(size=card.size, resize=resize))


def _choose_backbones(
    request: RunRequest, cards: Sequence[ExportBackboneOutcome]
) -> list[ExportBackboneOutcome]:
    """Cheapest first. Those that a person named are all taken, whatever the budget."""
    there = {card.file.name: card for card in sorted(cards, key=lambda card: card.flops)}
    unknown = [name for name in request.backbones if name not in (AUTO, *there)]
    if unknown:
        raise UserError(
            f"backbones was {', '.join(request.backbones)}, but {', '.join(unknown)} is not here. "
            f"Allowed: {AUTO}, {', '.join(there)}. ./modelmill backbone add brings another."
        )
    offered = BACKBONES if AUTO in request.backbones else ()
    wanted = [card for name, card in there.items() if name in (*offered, *request.backbones)]
    _check_untrained(request, wanted)
    fitting = [card for card in wanted if not _find_excess(request, card)]
    if not fitting:
        raise UserError(_explain_excess(request, wanted))
    most = max(n for minutes, n in BACKBONES_FROM_MINUTES if request.budget_minutes >= minutes)
    in_time = [card.file.name for card in fitting if card.file.name in offered][:most]
    return [card for card in fitting if card.file.name in (*in_time, *request.backbones)]


def _check_untrained(request: RunRequest, wanted: Sequence[ExportBackboneOutcome]) -> None:
    """Raises UserError where a backbone from scratch is not to be trained, or not alone."""
    untrained = [
        card.file.name for card in wanted if card.file.weights and card.file.weights.untrained
    ]
    if not untrained:
        return
    told = f"backbones was {', '.join(request.backbones)}, but {', '.join(untrained)} "
    if request.deepest != "network":
        raise UserError(
            f"{told}has learned nothing yet, and deepest was {request.deepest}, which leaves it "
            "so. Allowed with it: deepest=network."
        )
    if len(untrained) < len(wanted):
        raise UserError(
            f"{told}has learned nothing yet: its head would lose to that of a pretrained one, and "
            "it would never be trained. Allowed: backbones from scratch alone, or none."
        )


def _find_excess(request: RunRequest, card: ExportBackboneOutcome) -> list[str]:
    """Names of the limits that the backbone alone exceeds; a model is never smaller or faster."""
    excess = []
    if 0 < request.max_latency_ms < card.file.latency_ms:
        excess.append("max_latency_ms")
    if 0 < request.max_model_mb < card.file.file_bytes / 1e6:
        excess.append("max_model_mb")
    return excess


def _explain_excess(request: RunRequest, cards: Sequence[ExportBackboneOutcome]) -> str:
    limits = {"max_latency_ms": request.max_latency_ms, "max_model_mb": request.max_model_mb}
    hit = sorted({name for card in cards for name in _find_excess(request, card)})
    given = " and ".join(f"{name} was {limits[name]:g}" for name in hit)
    each = ", ".join(
        f"{card.file.name} {card.file.latency_ms:.1f} ms and {card.file.file_bytes / 1e6:.1f} MB"
        for card in cards
    )
    return f"{given}, but no backbone meets that: {each}. Allowed: more than one of these, or 0."
