"""Pictures that show several things: from a table of label lists to a served model."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.pictures import make_mixture
from tests.integration.stack import Stack

KINDS = ("stripes", "rings", "checks")
SETS = [kinds for size in (1, 2, 3) for kinds in itertools.combinations(range(3), size)]


def name_kinds(kinds: tuple[int, ...]) -> list[str]:
    return sorted(KINDS[kind] for kind in kinds)


@pytest.fixture(scope="module")
def trained(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mixtures")
    with (folder / "labels.jsonl").open("w") as table:
        for kinds, number in itertools.product(SETS, range(14)):
            name = f"{'-'.join(map(str, kinds))}-{number}.png"
            (folder / name).write_bytes(make_mixture(kinds, number))
            table.write(json.dumps({"file": name, "labels": name_kinds(kinds)}) + "\n")
    added = stack.json("import", str(folder / "labels.jsonl"), "--dataset", "mixtures")
    assert (added["task"], added["added"]) == ("image_multilabel", 14 * len(SETS))
    assert added["added_per_class"] == dict.fromkeys(KINDS, 14 * 4)
    form = ["--max-trials", "4", "--budget-minutes", "1", "--min-accuracy", "0.5"]
    return stack.train("mixtures", *form)


def test_run_ends_in_service(trained: dict[str, Any]) -> None:
    assert trained["state"] == "success"
    assert trained["macro_f1"] >= 0.8


def test_api_names_what_a_picture_shows(trained: dict[str, Any]) -> None:
    right = 0
    for kinds in SETS:
        content = make_mixture(kinds, 5_000)
        body = httpx.post(trained["endpoint"] + "/v1/predict", content=content).json()
        right += sorted(body["labels"]) == name_kinds(kinds)
        assert {one["label"] for one in body["results"]} == set(KINDS)
    assert right >= len(SETS) - 2
    model = httpx.get(trained["endpoint"] + "/v1/model").json()
    assert model["task"] == "image_multilabel"


def test_report_speaks_of_labels(trained: dict[str, Any]) -> None:
    page = httpx.get(trained["report_uri"])
    assert page.status_code == 200
    for name in KINDS:
        assert name in page.text


def test_folder_is_answered_as_the_server_would(
    stack: Stack, trained: dict[str, Any], tmp_path: Path
) -> None:
    for number, kinds in enumerate(SETS):
        (tmp_path / f"{number}.png").write_bytes(make_mixture(kinds, 6_000))
    out = tmp_path / "answers.csv"
    stack.run("predict", "--deployment", "mixtures", str(tmp_path), "--out", str(out))
    with out.open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    for number, kinds in enumerate(SETS):
        content = make_mixture(kinds, 6_000)
        body = httpx.post(trained["endpoint"] + "/v1/predict", content=content).json()
        row = rows[f"{number}.png"]
        assert row["labels"] == "|".join(sorted(body["labels"]))
        assert row["declined"] == str(body["declined"]).lower()


def test_replay_gives_the_same_weights(stack: Stack, trained: dict[str, Any]) -> None:
    replayed = stack.json("train", "--replay", trained["run_id"])
    assert (replayed["same"], replayed["weights_sha256"]) == (True, trained["weights_sha256"])
