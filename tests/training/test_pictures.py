"""Pixels that the ranks decode together, once."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from serving.bundle import codec
from serving.bundle.codec import Pixels
from serving.bundle.manifest import Preprocessing
from serving.job.errors import UserError
from serving.job.inputs import InputFeatures
from tests.training.conftest import MakeSpec, make_input
from tests.training.fitting import ALONE, material_of
from training.deepen import clear_scratch
from training.pictures import clear_pictures, open_pictures
from training.ranks import Ranks
from training.search.search import Material
from training.tasks.protocol import load_task

SMALL = Preprocessing(size=32)


@dataclass(frozen=True, kw_only=True)
class Beside(Ranks):
    """A rank that is a thread: it waits for the others, who see the same folder."""

    barrier: threading.Barrier
    words: list[str] = field(default_factory=list)

    def meet(self, word: str) -> str:
        if word:
            self.words.append(word)
        self.barrier.wait(timeout=20)
        return self.words[0] if self.words else ""

    def broadcast(self, content: bytes) -> bytes:
        # That nothing is there yet is all that is ever asked.
        self.wait()
        return content


@pytest.fixture
def material(make_spec: MakeSpec) -> Material:
    return material_of(make_spec())


class Reader:
    """Reads a snapshot's pictures, and notes which; ends with an error where it is told to."""

    def __init__(self, material: Material, breaks_at: int = -1) -> None:
        self.material, self.breaks_at, self.read = material, breaks_at, list[int]()

    def __call__(self, places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        assert self.material.contents
        for place, content in self.material.contents(places):
            if len(self.read) == self.breaks_at:
                raise KeyboardInterrupt
            self.read.append(place)
            yield place, content


def open_all(reader: Reader, folder: Path, ranks: Ranks = ALONE, **changes: object) -> Pixels:
    given: InputFeatures = make_input(folder).model_copy(
        update={"preprocessing": SMALL.model_copy(update=changes)}
    )
    sha256 = reader.material.samples.sha256
    return open_pictures(given, sha256=sha256, contents=reader, ranks=ranks, folder=folder)


def test_pictures_are_those_that_the_server_would_see(material: Material, tmp_path: Path) -> None:
    reader = Reader(material)
    pictures = open_all(reader, tmp_path)
    count = len(material.samples)
    assert isinstance(pictures, np.memmap)
    assert (pictures.shape, pictures.dtype) == ((count, 32, 32, 3), np.uint8)
    assert sorted(reader.read) == list(range(count))
    assert material.contents
    for place, content in material.contents(range(count)):
        np.testing.assert_array_equal(pictures[place], codec.prepare(content, SMALL))


def test_a_retry_decodes_nothing_again_but_what_is_fitted_otherwise(
    material: Material, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_all(Reader(material, breaks_at=5), tmp_path)
    first, again, other = (Reader(material) for _ in range(3))
    pictures = open_all(first, tmp_path)
    assert len(first.read) == len(material.samples)
    np.testing.assert_array_equal(open_all(again, tmp_path), pictures)
    assert not again.read
    assert not np.array_equal(open_all(other, tmp_path, resize="squash"), pictures)
    assert len(other.read) == len(material.samples)
    assert list(tmp_path.iterdir())
    clear_scratch(tmp_path)
    assert not list(tmp_path.iterdir())


def test_ranks_share_the_work(material: Material, tmp_path: Path) -> None:
    barrier, readers = threading.Barrier(2), [Reader(material) for _ in range(2)]
    ranks = [Beside(rank=rank, size=2, device="cpu", barrier=barrier) for rank in range(2)]
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda i: open_all(readers[i], tmp_path / "two", ranks[i]), range(2)))
    shares = [set(reader.read) for reader in readers]
    assert shares == [set(range(rank, len(material.samples), 2)) for rank in range(2)]
    for pictures in both:
        np.testing.assert_array_equal(pictures, open_all(Reader(material), tmp_path / "one"))


@pytest.mark.parametrize("machines", [1, 2])
def test_a_picture_that_one_rank_misses_is_an_error_on_all(
    make_spec: MakeSpec, tmp_path: Path, machines: int
) -> None:
    barrier, words, spec = threading.Barrier(2), list[str](), make_spec()
    data = load_task(spec.task)[0]
    sha256 = data.read_samples(spec).sha256

    def open_one(rank: int) -> str:
        near = None if machines == 1 else replace(ALONE, node=rank)
        ranks = Beside(rank, 2, "cpu", near=near, barrier=barrier, words=words)
        # The second sample is the second rank's.
        lost = (sha256[0], "0" * 64, *sha256[2:]) if rank else sha256
        with pytest.raises(UserError) as raised:
            open_pictures(
                make_input(tmp_path).model_copy(update={"preprocessing": SMALL}),
                sha256=sha256,
                contents=partial(data.read_contents, spec, lost),
                ranks=ranks,
                folder=tmp_path / str(rank % machines),
            )
        return str(raised.value)

    with ThreadPoolExecutor() as pool:
        said = set(pool.map(open_one, range(2)))
    assert len(said) == 1
    assert "are not in their segments (first: 000" in said.pop()


def test_each_machine_decodes_for_its_own_disk_and_waits_for_the_others(
    material: Material, tmp_path: Path
) -> None:
    both, readers = threading.Barrier(2), [Reader(material) for _ in range(2)]
    folders = [tmp_path / str(node) for node in range(2)]
    kept = open_all(Reader(material), folders[0])
    ranks = [
        Beside(
            rank=node,
            size=2,
            device="cpu",
            nodes=2,
            node=node,
            near=replace(ALONE, node=node),
            barrier=both,
        )
        for node in range(2)
    ]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(open_all, readers[0], folders[0], ranks[0])
        # Pictures that are there already are no reason to go on alone: the others would be lost.
        while not both.n_waiting:
            assert not first.done()
        second = pool.submit(open_all, readers[1], folders[1], ranks[1])
        found = [first.result(), second.result()]
    assert [len(reader.read) for reader in readers] == [0, len(material.samples)]
    for pictures in found:
        np.testing.assert_array_equal(pictures, kept)
    clear_pictures(folders[1])
    assert (len(list(folders[0].iterdir())), list(folders[1].iterdir())) == (1, [])
