"""Images below others: in a real engine, what stands on them; and which of them go."""

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.images import remove_image
from pipelines.runtimes import REPOSITORIES, RuntimeImage, choose_old_runtimes, list_runtimes

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RUNTIME, GATEWAY = REPOSITORIES
BELOW, ABOVE = b"x" * 4000, b"y" * 3000
Build = Callable[[str, str, bytes], None]


def make(tag: str, days: float, *above: str) -> RuntimeImage:
    at = NOW - timedelta(days=days)
    return RuntimeImage(tag=tag, created_at=at, size_bytes=1, stands_on_it=frozenset(above))


def test_only_what_nothing_will_stand_on_goes() -> None:
    runtimes = [
        make("newest, unused", 2),
        make("kept model", 30, "modelmill/boards:7"),
        make("both go", 20, "modelmill/boards:1"),
        make("one of two goes", 15, "modelmill/boards:1", "modelmill/herbs:1"),
        make("unused", 10),
    ]
    chosen = choose_old_runtimes(runtimes, ["modelmill/boards:1"], NOW)
    assert [one.tag for one in chosen] == ["both go", "unused"]


def test_a_gateway_is_no_newer_runtime() -> None:
    runtimes = [
        make(f"{RUNTIME}:1", 30),
        make(f"{RUNTIME}:2", 20),
        make(f"{GATEWAY}:1", 15),
        make(f"{GATEWAY}:2", 12, "modelmill-boards-gateway-0a1b2c"),
        make(f"{GATEWAY}:3", 10),
    ]
    chosen = choose_old_runtimes(runtimes, [], NOW)
    assert [one.tag for one in chosen] == [f"{RUNTIME}:1", f"{GATEWAY}:1"]


def test_one_of_the_last_day_stays() -> None:
    runtimes = [make("today's", 0.5), make("newest", 0.1), make("old", 3)]
    assert [one.tag for one in choose_old_runtimes(runtimes, [], NOW)] == ["old"]
    assert choose_old_runtimes([], [], NOW) == ()


@pytest.fixture
def build(engine: Any) -> Iterator[Build]:
    made: list[str] = []

    def build_one(tag: str, below: str, content: bytes) -> None:
        context = io.BytesIO()
        dockerfile = f'FROM {below}\nCOPY {tag[-8:]} /\nCMD ["/x"]\n'.encode()
        with tarfile.open(fileobj=context, mode="w") as archive:
            for name, data in (("Dockerfile", dockerfile), (tag[-8:], content)):
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        context.seek(0)
        engine.images.build(fileobj=context, custom_context=True, tag=tag, rm=True, forcerm=True)
        made.append(tag)

    yield build_one
    for tag in reversed(made):
        remove_image(engine, tag)


@pytest.mark.integration
def test_what_stands_on_a_runtime_keeps_it(engine: Any, build: Build) -> None:
    ids = [uuid.uuid4().hex[:8] for _ in range(4)]
    base, old, newer = (
        f"{name}{one}"
        for name, one in zip(
            ("modelmill/test-base:", f"{RUNTIME}:", f"{RUNTIME}:"), ids, strict=False
        )
    )
    model = f"modelmill/test-model:{ids[3]}"
    build(base, "scratch", BELOW)
    build(old, base, ABOVE)
    build(model, old, b"z")
    build(newer, base, ABOVE[1:])
    later = datetime.now(UTC) + timedelta(days=2)

    def choose(*going: str) -> list[str]:
        return [one.tag for one in choose_old_runtimes(list_runtimes(engine), going, later)]

    found = {one.tag: one for one in list_runtimes(engine)}
    assert found[old].stands_on_it == {model}
    assert found[newer].stands_on_it == frozenset()
    assert found[old].size_bytes == len(ABOVE)
    # Whether `newer` is the newest, other builds on this engine decide.
    assert old not in choose()
    assert old in choose(model)
    assert remove_image(engine, model) == ""
    container = engine.containers.create(old)
    assert old not in choose(model)
    container.remove()
    assert old in choose()
    assert remove_image(engine, old) == ""
    assert old not in {one.tag for one in list_runtimes(engine)}
    assert newer in {one.tag for one in list_runtimes(engine)}


@pytest.mark.integration
def test_images_of_others_that_go_meanwhile_or_have_no_layers_are_no_failure(
    engine: Any, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, empty = f"{RUNTIME}:{uuid.uuid4().hex[:8]}", f"modelmill/test-empty:{uuid.uuid4().hex[:8]}"
    build(one, "scratch", BELOW)
    engine.images.build(fileobj=io.BytesIO(b'FROM scratch\nCMD ["/x"]\n'), tag=empty, rm=True)
    gone = {"Id": f"sha256:{'0' * 64}"}
    monkeypatch.setattr(engine.api, "images", _list_too(engine.api.images, gone))
    try:
        assert one in {found.tag for found in list_runtimes(engine)}
    finally:
        remove_image(engine, empty)


def _list_too(list_images: Callable[..., list[Any]], gone: dict[str, str]) -> Callable[..., Any]:
    return lambda *args, **filters: [gone, *list_images(*args, **filters)]
