"""What the etl found, in pictures: through a whole etl job, against real servers."""

import base64
import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from serving.job import store
from spark_jobs.etl import run_etl
from spark_jobs.report.pictures import MOST_BYTES, SIDE
from spark_jobs.report_models import EtlReport, Pictures
from spark_jobs.spec import EtlOutcome, StageSpec
from tests.spark_jobs.conftest import MakeSpec
from tests.spark_jobs.near_duplicates.pictures import copy_picture, encode, make_scene
from tests.spark_jobs.report.pages import Page, make_data, render

CHAIN = ("decode_image", "compute_features", "group_near_duplicates", "assign_sides")
CLASSES = ("<b>bold", "键盘")
EVIL = "<img src=x onerror=alert(1)> 🐜.jpg"
RED = (120, 0, 0)


def make_picture(seed: int) -> bytes:
    """A scene with a red cast: a grey picture of it is told apart."""
    grey = np.clip(make_scene(160, 120, seed), 0, 255)[..., None]
    return encode(Image.fromarray(np.clip(grey + RED, 0, 255).astype(np.uint8)), "PNG")


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def plant(tmp_path: Path, database: Any, dataset: str) -> Callable[[str, bytes, bool], str]:
    """A sample that no import would let in, or whose bytes are lost."""

    def write(name: str, content: bytes, there: bool) -> str:
        digest = hash_of(content)
        segment = tmp_path / "raw" / f"{digest}.parquet"
        if there:
            row = {"sha256": digest, "name": name, "content": content}
            pq.write_table(pa.Table.from_pylist([row]), segment)
        one = database["samples"].find_one({"dataset": dataset, "state": "active"})
        new = {"_id": f"{dataset}/{digest}", "sha256": digest, "name": name, "side": None}
        database["samples"].insert_one({**one, **new, "segment": segment.as_uri()})
        return digest

    return write


@pytest.fixture
def etl(make_spec: MakeSpec) -> Callable[[], EtlOutcome]:
    stages = tuple(StageSpec(name=name) for name in CHAIN)
    return lambda: run_etl(make_spec(stages=stages))


def read_thumbnail(uri: str) -> Image.Image:
    content = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    assert len(content) <= MOST_BYTES
    return Image.open(io.BytesIO(content))


def read_both(outcome: EtlOutcome) -> tuple[EtlReport, Pictures]:
    report = store.read_model(outcome.report_uri, EtlReport)
    return report, store.read_model(report.pictures_uri, Pictures)


def test_findings_are_shown(
    run_import_of: Callable[[], object],
    etl: Callable[[], EtlOutcome],
    plant: Callable[[str, bytes, bool], str],
    import_root: Path,
) -> None:
    chance = np.random.default_rng(0)
    pictures = [[make_picture(10 * c + i) for i in range(5)] for c in range(2)]
    copies = [copy_picture(pictures[0][i], "re-encoded at quality 70", chance) for i in range(2)]
    for folder, contents in zip(CLASSES, pictures, strict=True):
        (import_root / folder).mkdir()
        for number, content in enumerate(contents):
            (import_root / folder / f"{number}.png").write_bytes(content)
    (import_root / CLASSES[0] / "copy.jpg").write_bytes(copies[0])
    (import_root / CLASSES[1] / EVIL).write_bytes(copies[1])
    run_import_of()
    whole = encode(Image.new("RGB", (400, 300), (240, 30, 30)), quality=95)
    cut = plant("cut.jpg", whole[: len(whole) // 2], True)
    text = plant("text.jpg", b"no picture", True)
    lost = plant("lost.jpg", b"lost", False)
    report, made = read_both(etl())
    found = {picture.sha256: picture for picture in made.pictures}
    # In the page's order: the pair, what was left out, the copies.
    pair = {hash_of(pictures[0][1]), hash_of(copies[1])}
    group = {hash_of(pictures[0][0]), hash_of(copies[0])}
    assert [set(list(found)[a:b]) for a, b in ((0, 2), (2, 5), (5, 7))] == [
        pair,
        {cut, text, lost},
        group,
    ]
    assert not found[text].thumbnail
    assert not found[lost].thumbnail
    assert {found[sha].side for sha in group} < {"train", "val", "test"}
    assert found[cut].side is None
    for content in (pictures[0][0], copies[1]):
        small = read_thumbnail(found[hash_of(content)].thumbnail)
        assert max(small.size) == SIDE
        expected = Image.open(io.BytesIO(content)).convert("RGB").resize(small.size)
        difference = np.asarray(small, np.int16) - np.asarray(expected, np.int16)
        assert np.abs(difference).mean() < 6
    top = np.asarray(read_thumbnail(found[cut].thumbnail))[3]
    assert np.abs(top.mean(0) - (240, 30, 30)).max() < 8
    steps = ("compute_features", "facts", "near-duplicate comparison", "result", "pictures")
    assert all(report.seconds[step] > 0 for step in steps)
    assert report.seconds.keys() >= set(CHAIN)
    data = make_data(CLASSES, wrong=0).model_copy(update={"etl": report})
    page = Page(render(data, *made.pictures))
    assert page.tags.count("img") == 5
    assert page.text.count("no picture") == 2
    assert EVIL in page.text
    assert ("onerror", "alert(1)>") not in page.attributes


def test_nothing_found_costs_no_pass_and_leaves_no_file(
    run_import_of: Callable[[], object], etl: Callable[[], EtlOutcome], import_root: Path
) -> None:
    for c, folder in enumerate(CLASSES):
        (import_root / folder).mkdir()
        for i in range(4):
            (import_root / folder / f"{i}.png").write_bytes(make_picture(10 * c + i))
    run_import_of()
    outcome = etl()
    report = store.read_model(outcome.report_uri, EtlReport)
    assert report.pictures_uri == ""
    assert "pictures" not in report.seconds
    assert "etl_pictures.json" not in store.list_names(outcome.report_uri.rsplit("/", 1)[0])
