"""What the review page may be asked for, and by whom."""

import io
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI
from PIL import Image

from serving.console.access import COOKIE
from serving.console.pictures import read_content
from serving.job import store
from serving.job.reviews import queue_reviews
from serving.job.samples import read_sample
from serving.sessions import Session, find_session, invite, locate_sessions, redeem
from tests.serving.reviewing import make_item, sha_of
from tests.serving.running import run_console

Client = httpx.Client


@pytest.fixture
def stranger(console: FastAPI) -> Iterator[Client]:
    with run_console(console) as port:
        address = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=address, headers={"Origin": address}, trust_env=False) as client:
            yield client


@pytest.fixture
def ann(stranger: Client, pets: str, token: str) -> Client:
    answer = stranger.post(f"/datasets/{pets}/session", json={"token": token})
    assert answer.json() == {"by": "ann (review page)"}
    return stranger


def decide(client: Client, pets: str, number: int, verdict: str, **more: Any) -> httpx.Response:
    sent = {"sha256": sha_of(number), "verdict": verdict, **more}
    return client.post(f"/datasets/{pets}/review/decision", json=sent)


def test_the_cookie_is_no_scripts_and_no_other_sites(
    stranger: Client, pets: str, token: str
) -> None:
    answer = stranger.post(f"/datasets/{pets}/session", json={"token": token})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", f"Path=/datasets/{pets}"} <= set(cookie.split("; "))


def test_the_index_leads_to_what_waits(stranger: Client, ann: Client, pets: str) -> None:
    row = f'<a href="/datasets/{pets}/review">{pets}</a></td><td class="number">'
    assert f"{row}4</td>" in stranger.get("/").text
    for number in range(4):
        assert decide(ann, pets, number, "confirm").status_code == 200
    assert row not in stranger.get("/").text


def test_a_token_opens_once(ann: Client, pets: str, token: str) -> None:
    ann.cookies.clear()
    answer = ann.post(f"/datasets/{pets}/session", json={"token": token})
    assert answer.status_code == 401
    assert "used before" in answer.json()["error"]["message"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["review/items", f"pictures/{sha_of(1)}"])
def test_without_a_session_nothing_is_shown(stranger: Client, pets: str, path: str) -> None:
    answer = stranger.get(f"/datasets/{pets}/{path}")
    assert answer.status_code == 401
    assert f"./modelmill review --dataset {pets}" in answer.json()["error"]["message"]


def test_without_a_session_nothing_is_decided(stranger: Client, pets: str, database: Any) -> None:
    stranger.cookies.set(COOKIE, "x" * 43)
    assert decide(stranger, pets, 1, "delete").status_code == 401
    undo = {"sha256": sha_of(1)}
    assert stranger.post(f"/datasets/{pets}/review/undo", json=undo).status_code == 401
    assert read_sample(database, pets, sha_of(1)).state == "active"


def test_a_session_is_for_one_dataset(ann: Client, pets: str, token: str) -> None:
    cookie = ann.cookies[COOKIE]
    other = f"{pets}-other"
    headers = {"Cookie": f"{COOKIE}={cookie}"}
    assert ann.get(f"/datasets/{other}/review/items", headers=headers).status_code == 401
    assert ann.get(f"/datasets/{pets}/review/items", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
    ],
)
def test_other_origins_decide_nothing(
    ann: Client, pets: str, database: Any, headers: dict[str, str]
) -> None:
    sent = {"sha256": sha_of(1), "verdict": "delete"}
    answer = ann.post(f"/datasets/{pets}/review/decision", json=sent, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
    assert read_sample(database, pets, sha_of(1)).state == "active"


def test_other_hosts_get_nothing(ann: Client, pets: str) -> None:
    evil = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert ann.get(f"/datasets/{pets}/review", headers=evil).status_code == 400


def test_old_tokens_and_sessions_end(home: Path, pets: str) -> None:
    folder = locate_sessions(home)
    opened = redeem(folder, invite(folder, pets, "ann"), pets)
    late = invite(folder, pets, "ann")
    assert opened is not None
    for path in folder.glob("*/*.json"):
        session = Session.model_validate_json(path.read_text())
        past = session.model_copy(update={"expires_at": datetime.now(UTC)})
        path.write_text(past.model_dump_json())
    assert find_session(folder, opened[0], pets) is None
    assert redeem(folder, late, pets) is None
    invite(folder, pets, "bob")
    assert len(list(folder.glob("*/*.json"))) == 1


def test_only_their_owner_reads_the_sessions(home: Path, pets: str) -> None:
    folder = locate_sessions(home)
    token = invite(folder, pets, "ann")
    (kept,) = folder.glob("*/*.json")
    assert kept.stat().st_mode & 0o077 == 0
    assert token not in kept.read_text() + kept.name
    assert redeem(folder, "../" + token, pets) is None


def test_items_in_order_and_page(ann: Client, pets: str) -> None:
    found = ann.get(f"/datasets/{pets}/review/items").json()
    assert [int(one["sha256"], 16) for one in found["items"]] == [3, 2, 1, 0]
    assert (found["open"], found["is_last"], found["classes"]) == (4, True, ["cat", "dog"])
    last = found["items"][1]
    after = {"suspicion": last["suspicion"], "sha256": last["sha256"]}
    rest = ann.get(f"/datasets/{pets}/review/items", params=after).json()
    assert [int(one["sha256"], 16) for one in rest["items"]] == [1, 0]


def test_decisions_change_the_sample(ann: Client, pets: str, database: Any) -> None:
    answer = decide(ann, pets, 1, "relabel", label="dog")
    assert answer.json()["decision"]["verdict"] == "relabel"
    sample = read_sample(database, pets, sha_of(1))
    assert (sample.label, sample.history[-1].by) == ("dog", "ann (review page)")
    again = decide(ann, pets, 1, "delete")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    undone = ann.post(f"/datasets/{pets}/review/undo", json={"sha256": sha_of(1)})
    assert undone.json()["decision"] is None
    assert read_sample(database, pets, sha_of(1)).label == "cat"


def test_a_new_class_is_asked_about(ann: Client, pets: str) -> None:
    answer = decide(ann, pets, 1, "relabel", label="fox")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "new_class")
    assert decide(ann, pets, 1, "relabel", label="fox", new_class=True).status_code == 200


@pytest.mark.parametrize("sent", [{"verdict": "burn"}, {"sha256": "../x"}, {"more": 1}])
def test_odd_questions(ann: Client, pets: str, sent: dict[str, Any]) -> None:
    sent = {"sha256": sha_of(1), "verdict": "confirm", **sent}
    assert ann.post(f"/datasets/{pets}/review/decision", json=sent).status_code == 422


@pytest.mark.parametrize(("query", "side"), [("", 320), ("?small=true", 200)])
def test_pictures_are_made_anew(ann: Client, pets: str, query: str, side: int) -> None:
    answer = ann.get(f"/datasets/{pets}/pictures/{sha_of(1)}{query}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"].startswith("private")
    image = Image.open(io.BytesIO(answer.content))
    assert (image.format, max(image.size)) == ("JPEG", side)
    red, green, blue = image.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert (abs(red - 0), abs(green - 128), abs(blue - 128)) < (8, 8, 8)


@pytest.mark.parametrize(("number", "status"), [(5, 415), (9, 404)])
def test_pictures_that_cannot_be_shown(ann: Client, pets: str, number: int, status: int) -> None:
    answer = ann.get(f"/datasets/{pets}/pictures/{sha_of(number)}")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("change", [{"segment": ""}, {"segment": "file:///nowhere/x.parquet"}])
def test_bytes_that_are_gone(ann: Client, pets: str, database: Any, change: dict[str, str]) -> None:
    database["samples"].update_one({"_id": f"{pets}/{sha_of(2)}"}, {"$set": change})
    assert ann.get(f"/datasets/{pets}/pictures/{sha_of(2)}").status_code == 404


def test_only_the_wanted_part_of_a_segment_is_read(
    tmp_path: Path, pets: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [bytes([number]) * 200_000 for number in range(12)]
    rows = {"sha256": [sha_of(number) for number in range(12)], "content": contents}
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table(rows), path, row_group_size=1, compression="none", use_dictionary=False)
    database["samples"].update_one(
        {"_id": f"{pets}/{sha_of(3)}"}, {"$set": {"segment": path.as_uri()}}
    )
    read: list[int] = []
    read_range = store.read_range

    def count(uri: str, offset: int, length: int) -> bytes:
        read.append(length)
        return read_range(uri, offset, length)

    monkeypatch.setattr(store, "read_range", count)
    assert read_content(read_sample(database, pets, sha_of(3))) == contents[3]
    assert 200_000 < sum(read) < 600_000


@pytest.mark.parametrize("name", ["Boards", "a b", "%3Cb%3E", "x" * 41])
def test_names_that_no_dataset_has(stranger: Client, name: str) -> None:
    answer = stranger.get(f"/datasets/{name}/review")
    assert answer.status_code == 404
    assert "<b>" not in answer.text


def test_the_page_runs_only_its_own(stranger: Client, pets: str) -> None:
    answer = stranger.get(f"/datasets/{pets}/review")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "onclick" not in answer.text


def test_a_score_that_is_no_number_is_left_out(ann: Client, pets: str, database: Any) -> None:
    scores = (("dog", math.nan), ("cat", 0.2))
    queue_reviews(database, [make_item(pets, 3, scores=scores)])
    first = ann.get(f"/datasets/{pets}/review/items").json()["items"][0]
    assert first["scores"] == [["cat", 0.2]]


def test_an_item_of_another_version_is_shown(ann: Client, pets: str, database: Any) -> None:
    key = {"_id": f"{pets}/{sha_of(3)}"}
    database["reviews"].update_one(key, {"$set": {"future": 1}, "$unset": {"trail": ""}})
    assert len(ann.get(f"/datasets/{pets}/review/items").json()["items"]) == 4
    queue_reviews(database, [make_item(pets, 3)])
