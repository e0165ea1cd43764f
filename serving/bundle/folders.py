"""A folder of pictures → answers, on several cores, in the order of their names."""

import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from serving.bundle import codec
from serving.bundle.labels import choose_labels
from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import Predictor, find_threshold

# Of one file: so many of them are held at once as there are cores.
MAX_BYTES = 100_000_000
# Answers that wait until those before them are there, for each core.
AHEAD = 8


@dataclass(frozen=True)
class FileFound:
    """A file below the folder, by its relative path; or, with a reason, what cannot be read."""

    name: str
    error: str = ""


@dataclass(frozen=True)
class PictureAnswer:
    """The best classes with their probabilities, best first; or, with none, why there is no answer.

    labels: what the picture shows, best first; none where it looks like none of the classes.
    """

    name: str
    results: tuple[tuple[str, float], ...] = ()
    error: str = ""
    labels: tuple[str, ...] = ()


def list_files(folder: Path) -> Iterator[FileFound]:
    """Every file below a folder that is not hidden: folder by folder, each sorted by name.

    Links to folders are files here, for they may lead round in circles. A folder that cannot be
    read is one entry with the reason.
    """
    pending = [iter([FileFound("")])]
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
        elif found.error or (found.name and not _is_folder(folder / found.name)):
            yield found
        else:
            pending.append(iter(_list_folder(folder, found.name)))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        # Gone since, or not to be looked at: reading it says why.
        return False


def _list_folder(folder: Path, below: str) -> list[FileFound]:
    try:
        names = sorted(path.name for path in (folder / below).iterdir() if path.name[0] != ".")
    except OSError as error:
        return [FileFound(below, f"the folder cannot be read: {error.strerror}")]
    return [FileFound(f"{below}/{name}" if below else name) for name in names]


def read_picture(path: Path) -> bytes:
    """Bytes of a file; raises codec.BadImageError where it is none, or too large."""
    try:
        # A pipe or a device would never end, so it is not even opened.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise codec.BadImageError("a link to a folder, which is not followed")
        if not stat.S_ISREG(status.st_mode):
            raise codec.BadImageError("no regular file")
        if status.st_size > MAX_BYTES:
            raise codec.BadImageError(f"{status.st_size:,} bytes are more than {MAX_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise codec.BadImageError(f"cannot be read: {error.strerror or error}") from None


def _find_labels(
    predictor: Predictor, scores: npt.NDArray[np.float32], min_score: float | None
) -> tuple[str, ...]:
    manifest = predictor.manifest
    if min_score is None:
        return choose_labels(scores, manifest, find_threshold(predictor))
    if manifest.task == SEVERAL:
        thresholds = (min_score,) * len(manifest.classes)
        manifest = manifest.model_copy(update={"thresholds": thresholds})
    return choose_labels(scores, manifest, min_score)


def answer_file(
    predictor: Predictor,
    folder: Path,
    found: FileFound,
    top: int,
    min_score: float | None = None,
) -> PictureAnswer:
    """What the bundle says of one file, as the server would: its labels, its `top` best classes.

    min_score: from which probability on a class is said; None: as the bundle has it.
    """
    if found.error:
        return PictureAnswer(found.name, error=found.error)
    try:
        pixels = predictor.prepare(read_picture(folder / found.name))
    except codec.BadImageError as error:
        return PictureAnswer(found.name, error=str(error))
    # One at a time: how pictures were batched must not show in the scores.
    (scores,) = predictor.score([pixels])
    if not np.isfinite(scores).all():
        return PictureAnswer(found.name, error="the network answered no numbers")
    ranked = codec.rank_labels(scores, predictor.manifest.classes, top)
    # float32 sums may end a hair above 1.
    results = tuple((label, min(score, 1.0)) for label, score in ranked)
    labels = _find_labels(predictor, scores, min_score)
    return PictureAnswer(found.name, results, labels=labels)


def answer_files(
    predictor: Predictor,
    folder: Path,
    files: Iterable[FileFound],
    *,
    top: int,
    threads: int,
    min_score: float | None = None,
) -> Iterator[PictureAnswer]:
    """One answer a file, in their order, whatever the number of threads; min_score: as above.

    Of the files, only a few more than `threads` are looked at before their turn.
    """
    waiting: deque[Future[PictureAnswer]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="pictures")
    try:
        for found in files:
            waiting.append(pool.submit(answer_file, predictor, folder, found, top, min_score))
            if len(waiting) >= AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
