"""What a person reads of a run's numbers."""

import pytest

from pipelines.command_line.runs import show_result
from pipelines.results import RunResult
from serving.bundle.manifest import ONE, SEVERAL, Task


@pytest.mark.parametrize(("task", "title"), [(ONE, "accuracy"), (SEVERAL, "all labels right")])
def test_accuracy_is_named(capsys: pytest.CaptureFixture[str], task: Task, title: str) -> None:
    result = RunResult(
        run_id="r",
        state="success",
        task=task,
        accuracy=0.75,
        macro_f1=0.5,
        test_samples=4,
        airflow_uri="http://127.0.0.1:8080",
    )
    show_result(result)
    assert f"  {title} 0.7500, macro-F1 0.5000 on 4 test samples" in capsys.readouterr().out
