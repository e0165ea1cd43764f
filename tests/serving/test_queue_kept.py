"""Requests that a server has kept: into the queue, and by a decision into the dataset."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from serving.console.pictures import read_content
from serving.console.review import show_picture
from serving.job.errors import UserError
from serving.job.labels import NewClassError
from serving.job.review_decisions import ReviewConflictError, decide, undo_decision
from serving.job.reviews import list_reviews, queue_reviews
from serving.job.samples import read_sample
from serving.keeping import Keeper, Keeping, make_key
from serving.queue_kept import Queueing, find_dataset, list_kept
from tests.serving.console.conftest import draw
from tests.serving.reviewing import insert_sample, make_item

TEAL, GOLD = draw("teal"), draw("gold")


def sha_of_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(Keeping(share=1, folder=tmp_path / "kept"), version=3)


@pytest.fixture
def pets(database: Any, dataset: str) -> str:
    for number, label in enumerate(("cat", "dog")):
        insert_sample(database, dataset, number, label)
    return dataset


def keep(keeper: Keeper, request_id: str, content: bytes, label: str, feedback: str = "") -> None:
    keeper.keep(request_id, 0, content, label, 0.5)
    # Its writer has one thread: what is asked of it later is done later.
    keeper._writer.submit(int).result()
    if feedback:
        assert keeper.add_feedback(request_id, 0, feedback)


def queue(database: Any, pets: str, tmp_path: Path) -> tuple[int, int, int]:
    raw = (tmp_path / "raw" / pets).as_uri()
    queueing = Queueing(database, "door", pets, raw)
    queueing.take(list(list_kept(tmp_path / "kept")))
    return queueing.queued, queueing.told, queueing.known


def test_kept_requests_are_asked_about_once(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    keep(keeper, "again", TEAL, "cat")
    keep(keeper, "../two", GOLD, "cat", "dog")
    assert queue(database, pets, tmp_path) == (2, 0, 0)
    gold, teal = list_reviews(database, pets).items
    assert (gold.label, gold.predicted, gold.source, gold.suspicion) == ("dog", "cat", "served", 1)
    assert (teal.label, teal.predicted, teal.suspicion) == ("cat", "cat", 0.5)
    assert gold.served is not None
    assert (gold.served.deployment, gold.served.version) == ("door", 3)
    assert (gold.served.request_id, gold.served.feedback) == ("../two", "dog")
    assert ".." not in gold.name
    assert database["samples"].count_documents({"dataset": pets}) == 2
    assert not list((tmp_path / "kept").glob("*.bin"))
    before = sorted((tmp_path / "raw").rglob("*"))
    assert queue(database, pets, tmp_path) == (0, 0, 0)
    keep(keeper, "third time", TEAL, "cat")
    assert queue(database, pets, tmp_path) == (0, 0, 0)
    assert list_reviews(database, pets).open == 2
    assert sorted((tmp_path / "raw").rglob("*")) == before
    assert show_picture(database, pets, teal.sha256, 100).media_type == "image/jpeg"


def test_notes_of_another_user_are_replaced_not_written_to(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    """A container's user writes them: an operator may put others in their place, no more."""
    keep(keeper, "one", TEAL, "cat")
    (note,) = (tmp_path / "kept").glob("*.json")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.hardlink_to(note)
    elsewhere.chmod(0o444)
    before = elsewhere.read_text()
    assert queue(database, pets, tmp_path) == (1, 0, 0)
    assert elsewhere.read_text() == before
    (kept,) = list_kept(tmp_path / "kept")
    assert kept.request.sha256 == sha_of_bytes(TEAL)
    assert [found.name for found in note.parent.iterdir()] == [note.name]


@pytest.mark.parametrize("suffix", [".bin", ".json", ".feedback.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_of_a_server_is_left_alone(
    keeper: Keeper, tmp_path: Path, suffix: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Containers write to that folder, and are not trusted: a link would read any file of ours."""
    keep(keeper, "good", GOLD, "dog")
    keep(keeper, "bad", TEAL, "cat", "dog")
    secret = tmp_path / "secret"
    path = tmp_path / "kept" / f"{make_key('bad', 0)}{suffix}"
    path.rename(secret)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    (kept,) = list_kept(tmp_path / "kept")
    assert kept.request.request_id == "good"
    said = capsys.readouterr().out
    assert f"{path} is a link, no file at all" in said
    assert secret.exists()


def test_what_a_sender_says_later_changes_the_proposal(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    assert queue(database, pets, tmp_path) == (1, 0, 0)
    assert keeper.add_feedback("one", 0, "dog")
    assert queue(database, pets, tmp_path) == (0, 1, 0)
    assert queue(database, pets, tmp_path) == (0, 0, 0)
    (item,) = list_reviews(database, pets).items
    assert (item.label, item.predicted, item.suspicion) == ("dog", "cat", 1)


@pytest.mark.parametrize(
    ("verdict", "label"), [("confirm", "cat"), ("hard", "cat"), ("relabel", "dog")]
)
def test_a_decision_makes_a_sample(  # noqa: PLR0917
    database: Any, pets: str, keeper: Keeper, tmp_path: Path, verdict: Any, label: str
) -> None:
    keep(keeper, "one", TEAL, "cat")
    queue(database, pets, tmp_path)
    sha256 = sha_of_bytes(TEAL)
    item = decide(database, pets, sha256, verdict, label, by="ann")
    assert item.decision is not None
    assert (item.decision.verdict, item.decision.label) == (verdict, label)
    sample = read_sample(database, pets, sha256)
    assert (sample.label, sample.state, sample.side) == (label, "active", None)
    assert [(entry.by, entry.label) for entry in sample.history] == [("ann", label)]
    assert read_content(sample) == TEAL
    document = database["samples"].find_one({"_id": f"{pets}/{sha256}"})
    assert document["origin"] == "feedback"
    source = {"deployment": "door", "version": 3, "request_id": "one", "picture": 0}
    assert document["served"] == source
    keep(keeper, "two", TEAL, "cat")
    assert queue(database, pets, tmp_path) == (0, 0, 2)
    assert not list((tmp_path / "kept").iterdir())


def test_undo_takes_it_out_and_asks_again(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    queue(database, pets, tmp_path)
    sha256 = sha_of_bytes(TEAL)
    for round_number in range(2):
        decide(database, pets, sha256, "relabel", "dog", by="ann")
        assert read_sample(database, pets, sha256).state == "active"
        item = undo_decision(database, pets, sha256, "ann")
        assert (item.decision, item.label) == (None, "cat")
        sample = read_sample(database, pets, sha256)
        assert (sample.state, len(sample.history)) == ("deleted", 2 + 2 * round_number)
        assert list_reviews(database, pets).open == 1
        assert [one.sha256 for one in list_reviews(database, pets).items] == [sha256]
    decide(database, pets, sha256, "confirm", by="bob")
    sample = read_sample(database, pets, sha256)
    assert (sample.label, sample.state, sample.history[-1].by) == ("cat", "active", "bob")


def test_one_that_is_left_out_stays_out(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    queue(database, pets, tmp_path)
    sha256 = sha_of_bytes(TEAL)
    decide(database, pets, sha256, "delete", by="ann")
    assert database["samples"].count_documents({"dataset": pets}) == 2
    keep(keeper, "two", TEAL, "dog")
    assert queue(database, pets, tmp_path) == (0, 0, 2)
    undo_decision(database, pets, sha256, "ann")
    assert [one.sha256 for one in list_reviews(database, pets).items] == [sha256]
    assert database["samples"].count_documents({"dataset": pets}) == 2


def test_a_senders_word_is_no_class_until_a_person_says_so(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat", "fox")
    keep(keeper, "two", GOLD, "cat", "\0")
    queue(database, pets, tmp_path)
    sha256 = sha_of_bytes(TEAL)
    with pytest.raises(NewClassError, match="fox"):
        decide(database, pets, sha256, "confirm", by="ann")
    assert database["samples"].count_documents({"dataset": pets}) == 2
    assert "fox" not in database["datasets"].find_one({"_id": pets})["classes"]
    item = decide(database, pets, sha256, "relabel", "fox", by="ann", new_class=True)
    assert item.decision is not None
    assert item.decision.verdict == "confirm"
    assert "fox" in database["datasets"].find_one({"_id": pets})["classes"]
    (other,) = list_reviews(database, pets).items
    assert (other.label, other.sha256) == ("cat", sha_of_bytes(GOLD))


def test_pictures_of_the_dataset_are_not_asked_about(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    sha256 = sha_of_bytes(TEAL)
    insert_sample(database, pets, int(sha256, 16), "cat")
    assert queue(database, pets, tmp_path) == (0, 0, 1)
    assert list_reviews(database, pets).open == 0


def test_one_imported_meanwhile_is_an_ordinary_question(
    database: Any, pets: str, keeper: Keeper, tmp_path: Path
) -> None:
    keep(keeper, "one", TEAL, "cat")
    keep(keeper, "two", GOLD, "cat")
    queue(database, pets, tmp_path)
    insert_sample(database, pets, int(sha_of_bytes(TEAL), 16), "cat")
    insert_sample(database, pets, int(sha_of_bytes(GOLD), 16), "dog")
    (item,) = list_reviews(database, pets).items
    assert item.sha256 == sha_of_bytes(TEAL)
    decide(database, pets, item.sha256, "relabel", "dog", by="ann")
    assert [one.by for one in read_sample(database, pets, item.sha256).history] == [
        "importer",
        "ann",
    ]


def test_lost_bytes_are_said(database: Any, pets: str, keeper: Keeper, tmp_path: Path) -> None:
    keep(keeper, "one", TEAL, "cat")
    queue(database, pets, tmp_path)
    for segment in (tmp_path / "raw").rglob("*.parquet"):
        segment.unlink()
    with pytest.raises(ReviewConflictError, match=r"bytes of .* are gone"):
        decide(database, pets, sha_of_bytes(TEAL), "confirm", by="ann")
    assert database["samples"].count_documents({"dataset": pets}) == 2
    decide(database, pets, sha_of_bytes(TEAL), "delete", by="ann")


def test_an_evaluations_question_about_a_stranger_is_none(database: Any, pets: str) -> None:
    assert queue_reviews(database, [make_item(pets, 99)]).outdated == 1


def test_nothing_serves_under_that_name(database: Any) -> None:
    with pytest.raises(UserError, match="deployment was 'nobody'"):
        find_dataset(database, "nobody")
