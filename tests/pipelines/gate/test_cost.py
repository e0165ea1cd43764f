"""What the gate knows of a model's cost."""

from pathlib import Path

from pipelines.artifacts import Artifacts
from pipelines.context import RunFiles
from pipelines.gate.rules import ModelCost
from serving.job import store
from serving.job.search import Search, Trial
from tests.pipelines.literals import RUN_ID, TRAIN


def test_what_the_chosen_model_takes_is_in_the_search(tmp_path: Path) -> None:
    artifacts = Artifacts(hdfs=(tmp_path / "hdfs").as_uri(), scratch=tmp_path.as_uri())
    files = RunFiles(artifacts=artifacts, run_id=RUN_ID)
    assert files.find_cost() is None
    folder = files.task_uri("train")
    search_uri = f"{folder}/attempt-1/search.json"
    store.write_bytes(f"{folder}/committed", b"1")
    outcome = TRAIN.model_copy(update={"search_uri": search_uri})
    store.write_model(f"{folder}/attempt-1/outcome.json", outcome)
    assert files.find_cost() is None
    dear, cheap = (
        Trial(
            number=number,
            recipe=TRAIN.recipe,
            state="finished",
            loss=0.1,
            accuracy=0.9,
            best_epoch=3,
            latency_ms=latency_ms,
            model_mb=14.5,
            seconds=1,
            allowed=True,
        )
        for number, latency_ms in ((0, 30), (1, 12.5))
    )
    found = Search(
        trials=(dear, cheap), best=1, ended_because="no_gain", folds=1, repeats=True, seconds=9
    )
    store.write_model(search_uri, found)
    assert files.find_cost() == ModelCost(latency_ms=12.5, model_mb=14.5)
