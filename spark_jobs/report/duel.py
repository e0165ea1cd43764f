"""Challenger against champion on the same pictures, in words. Pure."""

from serving.job.evaluation import Paired
from serving.job.paired_test import chance_of_difference
from spark_jobs.report.advice import percent
from spark_jobs.spec import Champion

# Below this chance, two models that are equally good hardly differ so.
CLEAR = 0.05


def say_who_is_better(paired: Paired, other: str = "the one in service") -> str:
    """Who is right where the other is not, and whether that may be chance."""
    ours, theirs = paired.challenger_only, paired.champion_only
    if not ours + theirs:
        return f"Both are right on the same {paired.both} of {paired.samples} pictures."
    chance = chance_of_difference(ours, theirs)
    counts = (
        f"Of {paired.samples} pictures, only this model is right on {ours}, and only {other} on "
        f"{theirs}; both are right on {paired.both}, and neither on {paired.neither}."
    )
    if chance < CLEAR:
        better = (
            "This model is better" if ours > theirs else f"{other[:1].upper()}{other[1:]} is better"
        )
        return f"{counts} {better}: {_say_chance(chance)}."
    return f"{counts} That may well be chance: {_say_chance(chance)}."


def say_reference(reference: Champion | None) -> str:
    """How it does against the version that new ones are held to; empty where there is no other."""
    if reference is None:
        return ""
    named = f"version {reference.version}"
    said = (
        f"New versions are also held to {named}, the reference, so that many small steps do not "
        "lead downwards."
    )
    if reference.paired is None or not reference.paired.samples:
        return f"{said} {reference.note or 'It could not be compared.'}".rstrip(".") + "."
    note = f" {reference.note}" if reference.note else ""
    return f"{said} {say_who_is_better(reference.paired, named)}{note}"


def _say_chance(chance: float) -> str:
    share = "less than 0.1\u00a0%" if chance < 0.001 else percent(chance)
    return f"two equally good models differ at least so much in {share} of such tests"
