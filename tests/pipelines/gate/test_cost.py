"""What the gate knows of a model's cost."""

from pathlib import Path

from pipelines.gate.files import read_cost
from pipelines.gate.rules import ModelCost
from serving.job import store
from serving.job.search import Search, Trial
from tests.pipelines.literals import TRAIN


def test_what_the_chosen_model_takes_is_in_the_search(tmp_path: Path) -> None:
    search_uri = (tmp_path / "search.json").as_uri()
    train = TRAIN.model_copy(update={"search_uri": search_uri})
    assert read_cost(train) is None
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
    assert read_cost(train) == ModelCost(latency_ms=12.5, model_mb=14.5)
