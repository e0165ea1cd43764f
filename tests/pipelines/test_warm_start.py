"""Which head a training goes on from."""

from pathlib import Path

import pytest

from pipelines.warm_start import read_warm_start
from serving.bundle.manifest import SEVERAL, Lineage, Manifest, Preprocessing
from serving.job import store
from tests.pipelines.literals import RUN_ID, TRAIN

MANIFEST = Manifest(
    classes=("oak", "钢"),
    preprocessing=Preprocessing(),
    lineage=Lineage(
        dataset="boards",
        snapshot_id="5a",
        run_id=RUN_ID,
        code_version="c",
        backbone="efficientnet-lite0",
        backbone_sha256="0a" * 32,
        weights_licence="Apache-2.0",
        created_at="2025-03-01T02:00:00+00:00",
    ),
)


@pytest.mark.parametrize(
    "left", ["all", "no head", "no head's name", "no outcome", "no bundle", "last blocks, too"]
)
def test_the_head_beside_the_bundle_that_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str
) -> None:
    folder = tmp_path.as_uri()
    outcome = TRAIN.model_copy(update={"head_uri": f"{folder}/head.npz"})
    if left == "no head's name":
        outcome = TRAIN
    if left == "last blocks, too":
        deep = TRAIN.recipe.model_copy(update={"depth": "last_blocks"})
        outcome = outcome.model_copy(update={"recipe": deep})
    if left != "no head":
        store.write_bytes(f"{folder}/head.npz", b"weights")
    if left != "no outcome":
        store.write_model(f"{folder}/outcome.json", outcome)
    if left != "no bundle":
        store.write_model(f"{folder}/bundle/manifest.json", MANIFEST)
    found = read_warm_start(f"{folder}/bundle")
    said = "the training begins from nothing" in capsys.readouterr().out
    assert said == (left == "last blocks, too")
    if left != "all":
        assert found is None
        return
    assert found is not None
    assert (found.run_id, found.head_uri) == (RUN_ID, f"{folder}/head.npz")
    assert (found.recipe, found.classes, found.joined) == (TRAIN.recipe, MANIFEST.classes, True)
    assert found.backbone_sha256 == "0a" * 32
    assert found.task == "classification"


def test_the_head_of_several_labels_is_told_as_such(tmp_path: Path) -> None:
    folder = tmp_path.as_uri()
    store.write_bytes(f"{folder}/head.npz", b"weights")
    outcome = TRAIN.model_copy(update={"head_uri": f"{folder}/head.npz"})
    store.write_model(f"{folder}/outcome.json", outcome)
    several = {**MANIFEST.model_dump(), "task": SEVERAL, "thresholds": (0.5, 0.4)}
    store.write_model(f"{folder}/bundle/manifest.json", Manifest.model_validate(several))
    found = read_warm_start(f"{folder}/bundle")
    assert found is not None
    assert (found.task, found.classes) == ("multilabel", MANIFEST.classes)
