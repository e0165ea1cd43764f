"""What is exported can be imported: the same bytes, labels, sides, groups, whatever they hold."""

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.administration.export import Folder, export_samples
from spark_jobs.administration.labels_table import choose_splits, make_table
from spark_jobs.administration.paths import LABELS_NAME, Exported, plan_paths
from spark_jobs.administration.spec import ExportSpec
from spark_jobs.importing.detecting import find_layout
from spark_jobs.importing.job import run_import
from spark_jobs.importing.source import ROOTS_VARIABLE
from spark_jobs.sides import SIDES, allowed_sides
from spark_jobs.spec import ImportSpec, LabelFields
from tests.spark_jobs.administration.conftest import read_serially
from tests.spark_jobs.tiny import make_picture

PIECES = st.sampled_from(
    [
        *(
            "/",
            "\\",
            "..",
            ".",
            ":",
            "://",
            "\0",
            "\n",
            "\r",
            "\t",
            " ",
            "\u2028",
            "\ufeff",
            '"',
            "'",
        ),
        *(",", ";", "|", "{", "=1+1", "a", "A", "é", "e\u0301", "键盘", "x" * 300, ".png", "train"),
        *("labels.csv", "__MACOSX", "%2F", "#"),
    ]
)
TEXTS = st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=8)
# As an import leaves them.
CLEAN = TEXTS.map(lambda text: unicodedata.normalize("NFC", text.strip())).filter(
    lambda text: text and text == unicodedata.normalize("NFC", text.strip())
)
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
SIDE = st.sampled_from(SIDES)


@st.composite
def exported(draw: st.DrawFn) -> list[Exported]:
    """Samples of a snapshot, whose sides are folders; or active ones."""
    of_snapshot = draw(st.booleans())
    samples = []
    for sha256 in draw(st.lists(HASHES, unique=True, min_size=1, max_size=6)):
        split = draw(SIDE) if of_snapshot else draw(SIDE | st.just(""))
        side, group = split if of_snapshot else None, draw(CLEAN | st.none())
        samples.append(Exported(sha256, draw(CLEAN), draw(TEXTS), side, split, group))
    return samples


@given(exported())
def test_files_and_their_labels_are_found_again(
    tmp_path_factory: pytest.TempPathFactory, samples: list[Exported]
) -> None:
    root = tmp_path_factory.mktemp("export")
    folder, paths = Folder(root), plan_paths(samples)
    folder.write((LABELS_NAME,), make_table(samples, paths))
    for sample in samples:
        folder.write(paths[sample.sha256], sample.sha256.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ROOTS_VARIABLE, str(root))
        layout = find_layout(root.as_uri(), LabelFields())
    found = set()
    for item in layout.items():
        assert not item.refusal
        sha256 = layout.tree.read(item.path).decode()
        found.add((sha256, item.label, item.split or "", item.group))
    assert found == {(one.sha256, one.label, one.split, one.group) for one in samples}


DOCUMENTS = st.lists(
    st.fixed_dictionaries({"split": SIDE | st.none(), "side": SIDE | st.none()}), max_size=6
)


@given(DOCUMENTS)
def test_splits_lead_to_the_same_sides(documents: list[dict[str, Any]]) -> None:
    """Where all sides are there, as they are in a dataset that was trained on."""
    documents += [{"split": None, "side": side} for side in SIDES]
    chosen = choose_splits(documents)
    before = frozenset(one["split"] for one in documents if one["split"])
    for one, split in zip(documents, chosen, strict=True):
        after = allowed_sides(split or None, frozenset(SIDES))
        if one["side"]:
            assert after == (one["side"],)
        else:
            assert set(after) <= set(allowed_sides(one["split"], before))


def test_untrained_splits_are_as_they_came() -> None:
    came = ["train", "val", None]
    assert choose_splits([{"split": s, "side": None} for s in came]) == ["train", "val", ""]


LABELS = ("a/b", "a\\b", "..", 'say "oak", then\r\n; ash', "train", "labels.csv")


@pytest.fixture
def hostile(
    import_root: Path, tmp_path: Path, dataset: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A dataset of six samples, whose labels no folder can be called."""
    monkeypatch.setattr("spark_jobs.importing.job.read_pictures", read_serially)
    rows = []
    for number, label in enumerate(LABELS):
        (import_root / f"{number}.png").write_bytes(make_picture(0, number))
        group = f"g/{number % 2}" if number < 4 else None
        rows.append({"file": f"{number}.png", "label": label, "group": group})
    (import_root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    import_folder(import_root, tmp_path, dataset)
    for number, document in enumerate(database["samples"].find({"dataset": dataset})):
        side = {"$set": {"side": SIDES[number % 3]}}
        database["samples"].update_one({"_id": document["_id"]}, side)
    return dataset


def import_folder(folder: Path, tmp_path: Path, dataset: str) -> None:
    run_import(
        ImportSpec(
            output_uri=(tmp_path / "out").as_uri(),
            dataset=dataset,
            source_uri=folder.as_uri(),
            raw_uri=(tmp_path / "raw").as_uri(),
        )
    )


def make_export(tmp_path: Path, dataset: str, target: Path, snapshot_id: str = "") -> ExportSpec:
    return ExportSpec(
        output_uri=(tmp_path / "job").as_uri(),
        dataset=dataset,
        raw_uri=(tmp_path / "raw").as_uri(),
        snapshots_uri=(tmp_path / "snapshots").as_uri(),
        snapshot_id=snapshot_id,
        target_uri=target.as_uri(),
    )


def test_a_dataset_comes_back_as_it_was(
    hostile: str, import_root: Path, tmp_path: Path, database: Any
) -> None:
    target, again = import_root / "exported", f"{hostile}-again"
    outcome = export_samples(make_export(tmp_path, hostile, target))
    assert (outcome.written, outcome.missing) == (6, ())
    import_folder(target, tmp_path, again)
    before = list(database["samples"].find({"dataset": hostile}))
    after = list(database["samples"].find({"dataset": again}))
    assert {(one["sha256"], one["label"], one["split"], one["group"]) for one in after} == {
        (one["sha256"], one["label"], one["side"], one["group"]) for one in before
    }
    assert set(LABELS) == {one["label"] for one in after}
