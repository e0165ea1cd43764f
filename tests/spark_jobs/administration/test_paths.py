"""Whatever classes and files are called, an export stays in its folder and loses none."""

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark_jobs.administration.export import Folder
from spark_jobs.administration.paths import Exported, make_component, name_classes, plan_paths

# What breaks paths, often; anything at all, sometimes.
PIECES = st.sampled_from(
    ["..", ".", "/", "\\", "\0", "\n", "a", "A", "é", "e\u0301", "键盘", "x" * 300, ".png", "-", ""]
)
TEXTS = st.lists(PIECES, max_size=4).map("".join) | st.text(max_size=8)
HASHES = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
SAMPLES = st.lists(
    st.builds(Exported, HASHES, TEXTS, TEXTS, st.none() | st.sampled_from(["train", "test"])),
    unique_by=lambda sample: sample.sha256,
    max_size=8,
)


@given(SAMPLES)
def test_every_path_stays_inside_and_is_its_own(samples: list[Exported]) -> None:
    paths = plan_paths(samples)
    assert set(paths) == {sample.sha256 for sample in samples}
    seen = set()
    for sample in samples:
        parts = paths[sample.sha256]
        assert len(parts) == (2 if sample.side is None else 3)
        for part in parts:
            assert not set(part) & set("/\\\0\n")
            assert not part.startswith(".")
            assert 0 < len(part.encode()) <= 255
        root = Path("/export")
        assert Path(os.path.normpath(root.joinpath(*parts))) == root.joinpath(*parts)
        assert root.joinpath(*parts).is_relative_to(root)
        seen.add(unicodedata.normalize("NFC", "/".join(parts).casefold()))
    assert len(seen) == len(samples)


@given(SAMPLES, st.randoms(use_true_random=False))
def test_paths_are_the_same_in_any_order(samples: list[Exported], chance: object) -> None:
    shuffled = samples.copy()
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_paths(samples) == plan_paths(shuffled)


@given(st.lists(TEXTS, unique=True, max_size=6))
def test_no_two_classes_share_a_folder(labels: list[str]) -> None:
    folders = name_classes(labels)
    assert len({folder.casefold() for folder in folders.values()}) == len(labels)


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ("cat.png", "cat.png"),
        ("..", "_."),
        ("", "_"),
        ("/etc/passwd", "_etc_passwd"),
        ("a\0b", "a_b"),
        ("键盘", "键盘"),
        (".hidden", "_hidden"),
    ],
)
def test_components_are_near_to_the_text(text: str, component: str) -> None:
    assert make_component(text) == component


def test_long_names_keep_their_suffix() -> None:
    assert make_component("键" * 200 + ".jpeg").endswith(".jpeg")


def test_files_that_pose_as_anothers_prefix() -> None:
    """The plain name of one is what another would be called after a collision."""
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    samples = [Exported(a, "x", "1.png"), Exported(b, "x", "sub/1.png")]
    assert plan_paths(samples) == {
        a: ("x", f"{a[:8]}-1.png"),
        b: ("x", f"{b[:8]}-1.png"),
    }
    posing = [*samples, Exported(c, "x", f"{a[:8]}-1.png")]
    assert plan_paths(posing)[a] == ("x", f"{a}-1.png")


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=3, unique=True))
def test_real_files_land_inside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    folder = Folder(outer / "export")
    samples = [Exported(f"{n:064x}", label, name) for n, (label, name) in enumerate(rows)]
    for parts in plan_paths(samples).values():
        folder.write(parts, b"x")
    assert [path.name for path in outer.iterdir()] == ["export"]
    assert sum(path.is_file() for path in outer.rglob("*")) == len(rows)
