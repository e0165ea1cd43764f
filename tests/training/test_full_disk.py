"""A disk that is full while a training writes: a sentence, nothing damaged, and a retry goes on."""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.job.errors import ServiceError
from tests.training.conftest import make_input
from tests.training.fitting import ALONE, fit_alone, material_of
from training import checkpoint
from training.checkpoint import Checkpoint, Progress
from training.head_weights import hash_weights
from training.pictures import open_pictures
from training.search.space import first_recipes
from training.search.study import ask, begin, find_finished
from training.spec import TrainSpec

MakeSpec = Callable[..., TrainSpec]
KEY = "ab" * 32


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """Files cannot grow beyond some bytes: the kernel refuses the rest, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_old_checkpoint_stays_where_a_new_one_finds_no_room(tmp_path: Path) -> None:
    path = checkpoint.find_file(tmp_path.as_uri(), KEY)
    old = Checkpoint(Progress(best_epoch=1), {}, {}, {})
    checkpoint.write(path, old)
    new = Checkpoint(Progress(best_epoch=2), {}, {}, {})
    with full_disk(room=20), pytest.raises(ServiceError) as raised:
        checkpoint.write(path, new)
    said = str(raised.value)
    assert all(word in said for word in (str(tmp_path), "File too large", "room", "goes on"))
    assert checkpoint.from_bytes(checkpoint.read(path)) == old
    # What was begun would take the room that the retry needs.
    assert list(tmp_path.iterdir()) == [path]


def test_training_goes_on_once_there_is_room(make_spec: MakeSpec, tmp_path: Path) -> None:
    whole = fit_alone(make_spec(scratch_uri=(tmp_path / "whole").as_uri()))
    spec = make_spec()
    with full_disk(room=10_000), pytest.raises(ServiceError):
        fit_alone(spec)
    assert hash_weights(fit_alone(spec).head) == hash_weights(whole.head)


def test_pictures_that_find_no_room_say_so_before_one_is_decoded(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    samples = material_of(make_spec()).samples

    def refuse(places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        raise AssertionError(places)

    with full_disk(room=1_000_000), pytest.raises(ServiceError, match="Make room"):
        open_pictures(
            make_input(tmp_path),
            sha256=samples.sha256,
            contents=refuse,
            ranks=ALONE,
            folder=tmp_path,
        )
    assert not list(tmp_path.iterdir())


def test_study_that_was_cut_in_mid_write_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    first = first_recipes(["one crop"], None)
    study = begin(path, KEY, first)
    study.tell(ask(study, 0, 0), 0.5)
    with full_disk(room=path.stat().st_size + 9), pytest.raises(ServiceError, match="room"):
        study.set_user_attr("long", "x" * 200)
    assert not path.read_bytes().endswith(b"\n")
    study = begin(path, KEY, first)
    study.tell(ask(study, 0, 0), 0.25)
    again = begin(path, KEY, first)
    assert [trial.value for trial in find_finished(again)] == [0.5, 0.25]
