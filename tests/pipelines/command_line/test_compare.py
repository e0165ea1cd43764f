"""What a person reads of two runs' models."""

import pytest

from pipelines.command_line.compare import find_task, show_comparison
from serving.bundle.manifest import ONE, SEVERAL
from serving.job.errors import UserError
from serving.job.evaluation import Paired
from spark_jobs.administration.spec import ClassComparison, Difference, RunComparison
from tests.pipelines.literals import EVALUATE


def make_comparison(label: str, said: str) -> RunComparison:
    paired = Paired(both=6, challenger_only=3, champion_only=0, neither=1)
    return RunComparison(
        samples=10,
        one_samples=10,
        other_samples=12,
        relabelled=0,
        paired=paired,
        chance=0.25,
        classes=(ClassComparison(label="cat", paired=paired, chance=0.25),),
        differing=(Difference(sha256="0", name="a.jpg", label=label, one=label, other=said),),
    )


def test_one_label(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(make_comparison("cat", "dog"), "r1", "r2", ONE)
    told = capsys.readouterr().out
    assert "class  samples  A right  B right  only A  only B  chance" in told
    assert "'cat'       10   90.0 %   60.0 %       3       0   0.250" in told
    assert "  a.jpg  is 'cat': A 'cat', B 'dog'" in told
    assert "all labels" not in told


def test_several_labels(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(make_comparison("cat|dog", ""), "r1", "r2", SEVERAL)
    told = capsys.readouterr().out
    assert "A model is right that says all labels of a sample and no other" in told
    assert "  a.jpg  is 'cat|dog': A 'cat|dog', B none" in told


def test_runs_of_two_tasks_are_not_compared() -> None:
    several = EVALUATE.model_copy(update={"task": SEVERAL})
    assert find_task(EVALUATE, EVALUATE, ("r1", "r2")) == ONE
    assert find_task(several, several, ("r1", "r2")) == SEVERAL
    told = "Run r2 gives a picture several labels and run r1 just one"
    with pytest.raises(UserError, match=told):
        find_task(EVALUATE, several, ("r1", "r2"))
    with pytest.raises(UserError, match=told):
        find_task(several, EVALUATE, ("r2", "r1"))
