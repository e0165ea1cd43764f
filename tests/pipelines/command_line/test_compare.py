"""What a person reads of two runs' models."""

import pytest

from pipelines.command_line.compare import show_comparison
from serving.bundle.manifest import ONE, SEVERAL, Task
from serving.job.evaluation import Paired
from spark_jobs.administration.spec import ClassComparison, Difference, RunComparison


def make_comparison(task: Task, label: str, said: str) -> RunComparison:
    paired = Paired(both=6, challenger_only=3, champion_only=0, neither=1)
    return RunComparison(
        samples=10,
        one_samples=10,
        other_samples=12,
        relabelled=0,
        task=task,
        paired=paired,
        chance=0.25,
        classes=(ClassComparison(label="cat", paired=paired, chance=0.25),),
        differing=(Difference(sha256="0", name="a.jpg", label=label, one=label, other=said),),
    )


def test_one_label(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(make_comparison(ONE, "cat", "dog"), "r1", "r2")
    told = capsys.readouterr().out
    assert "class  samples  A right  B right  only A  only B  chance" in told
    assert "'cat'       10   90.0 %   60.0 %       3       0   0.250" in told
    assert "  a.jpg  is 'cat': A 'cat', B 'dog'" in told
    assert "every label" not in told


def test_several_labels(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(make_comparison(SEVERAL, "cat|dog", ""), "r1", "r2")
    told = capsys.readouterr().out
    assert "Right: every label, and none too much; below, by label: found where it is." in told
    assert "label  samples  A found  B found" in told
    assert "  a.jpg  is 'cat|dog': A 'cat|dog', B none" in told
