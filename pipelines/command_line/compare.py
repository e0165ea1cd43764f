"""./modelmill compare: two runs' models on the same test samples."""

import click

from pipelines.command_line.administration import run_data_job, use_scratch
from pipelines.command_line.output import emit_json, json_option, use_installation
from pipelines.context import Installation, RunFiles
from pipelines.steps import EVALUATE
from serving.bundle.manifest import SEVERAL, Task
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from spark_jobs.administration.spec import CompareRunsSpec, RunComparison
from spark_jobs.spec import EvaluateOutcome

# How many samples a person is shown; --json has them all.
SHOWN = 20
# Below this chance, two models that are equally good hardly differ so.
CLEAR = 0.05


@click.command()
@click.argument("one", metavar="RUN")
@click.argument("other", metavar="RUN")
@json_option
def compare(one: str, other: str, as_json: bool) -> None:
    """Say which run's model is better where: class by class, and is it chance.

    Only test samples count that both runs were judged by, under the same label. RUN is an id from
    ./modelmill runs.
    """
    installation = use_installation()
    found_one, found_other = (_find_evaluation(installation, run_id) for run_id in (one, other))
    task = find_task(found_one, found_other, (one, other))
    with use_scratch(installation) as output_uri:
        spec = CompareRunsSpec(
            output_uri=output_uri,
            task=task,
            one_uri=found_one.predictions_uri,
            other_uri=found_other.predictions_uri,
        )
        found = run_data_job(spec, RunComparison, installation)
    emit_json(found) if as_json else show_comparison(found, one, other, task)


def _find_evaluation(installation: Installation, run_id: str) -> EvaluateOutcome:
    files = RunFiles(artifacts=installation.artifacts, run_id=run_id)
    files.plan()
    outcome = files.find(EVALUATE.task, EvaluateOutcome)
    if outcome is None:
        raise UserError(f"Run {run_id} has no predictions: its evaluation has not ended.")
    return outcome


def find_task(found: EvaluateOutcome, other: EvaluateOutcome, runs: tuple[str, str]) -> Task:
    """The task of both; UserError where they differ."""
    if found.task != other.task:
        several, one = runs if found.task == SEVERAL else reversed(runs)
        raise UserError(
            f"Run {several} gives a picture several labels and run {one} just one, so neither's "
            "answers are right or wrong for the other: compare two runs on datasets of one kind."
        )
    return found.task


def show_comparison(found: RunComparison, one: str, other: str, task: Task) -> None:
    """A verdict, a line a class, and the first samples on which they differ."""
    click.echo(f"A: {one}\nB: {other}")
    click.echo(
        f"{found.samples} test samples are in both (A has {found.one_samples}, B "
        f"{found.other_samples}); all below is of these."
    )
    if found.relabelled:
        click.echo(f"{found.relabelled} more were relabelled in between, and are left out.")
    click.echo(_describe(found.paired, found.chance))
    if task == SEVERAL:
        click.echo(
            "A model is right that says all labels of a sample and no other; in the line of a "
            "class, one that says this class of a sample that has it."
        )
    width = max(len(repr(row.label)) for row in found.classes)
    click.echo(f"{'class':<{width}}  samples  A right  B right  only A  only B  chance")
    for row in found.classes:
        pair = row.paired
        click.echo(
            f"{row.label!r:<{width}}  {pair.samples:>7}  {_share(pair, pair.challenger_only)}  "
            f"{_share(pair, pair.champion_only)}  {pair.challenger_only:>6}  "
            f"{pair.champion_only:>6}  {row.chance:>6.3f}"
        )
    click.echo(f"They say different things of {len(found.differing)}:")
    for one_sample in found.differing[:SHOWN]:
        click.echo(
            f"  {one_sample.name}  is {one_sample.label!r}: A {_quote(one_sample.one)}, "
            f"B {_quote(one_sample.other)}"
        )
    if found.differing[SHOWN:]:
        click.echo(f"  … and {len(found.differing[SHOWN:])} more: --json lists them all")


def _quote(predicted: str) -> str:
    """Where a sample may have several labels, a model can say none."""
    return repr(predicted) if predicted else "none"


def _share(pair: Paired, only: int) -> str:
    return f"{100 * (pair.both + only) / pair.samples:>5.1f} %"


def _describe(pair: Paired, chance: float) -> str:
    text = (
        f"A is right on {_share(pair, pair.challenger_only).strip()}, B on "
        f"{_share(pair, pair.champion_only).strip()}: only A on {pair.challenger_only}, only B on "
        f"{pair.champion_only}, both on {pair.both}, neither on {pair.neither}."
    )
    if pair.challenger_only == pair.champion_only:
        return f"{text} Neither is better."
    better = "A" if pair.challenger_only > pair.champion_only else "B"
    if chance < CLEAR:
        return f"{text} {better} is better (McNemar, p = {chance:.2g})."
    return f"{text} That may be chance (McNemar, p = {chance:.2g})."
