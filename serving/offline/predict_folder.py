"""The predict_folder job: the very bundle that serves answers a folder, without its server."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from serving.bundle.folders import FileFound, answer_files, list_files
from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import BadBundleError, Predictor, find_threshold
from serving.cores import count_cores
from serving.job.errors import UserError
from serving.job.progress import Progress
from serving.offline.answers import WRITERS, check_target, replace_whole
from serving.offline.spec import PredictFolderOutcome, PredictFolderSpec
from serving.versions import find_version, use_bundle


def local_path(uri: str) -> Path:
    """Path of a file:// URI."""
    return Path(unquote(urlsplit(uri).path))


def _list_others(folder: Path, target: Path) -> Iterator[FileFound]:
    """Without the answers of an earlier time."""
    own = target.relative_to(folder).as_posix() if target.is_relative_to(folder) else None
    return (found for found in list_files(folder) if found.name != own)


def _count_files(folder: Path, target: Path) -> int:
    """At least 1; raises UserError where there is nothing to answer."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}.")
    first = next(_list_others(folder, target), None)
    if first is None:
        raise UserError(f"{folder} holds no file: nothing to predict.")
    if not first.name:
        raise UserError(f"{folder}: {first.error}.")
    return sum(1 for _ in _list_others(folder, target))


def _find_least(predictor: Predictor, min_score: float | None) -> float:
    """The score below which nothing is said; 0 where there is none, or each class has its own."""
    if min_score is not None:
        return min_score
    return 0.0 if predictor.manifest.task == SEVERAL else find_threshold(predictor)


def predict_folder(spec: PredictFolderSpec) -> PredictFolderOutcome:
    """Write one row a file, whatever it is; raises UserError."""
    folder, target = local_path(spec.folder_uri).resolve(), local_path(spec.target_uri)
    target = target.parent.resolve() / target.name
    check_target(target, force=spec.force)
    total = _count_files(folder, target)
    found = find_version(spec.deployment, spec.version)
    cores = spec.cores or count_cores()
    with use_bundle(found.bundle_uri) as bundle:
        try:
            predictor = Predictor(bundle, threads=1)
        except BadBundleError as error:
            raise UserError(f"{spec.deployment} version {found.version}: {error}.") from None
    print(f"{total} files, {spec.deployment} version {found.version}, {cores} cores", flush=True)
    manifest = predictor.manifest
    top = min(spec.top, len(manifest.classes))
    predicted = declined = unreadable = 0
    progress, begin = Progress("predict", total), time.monotonic()
    with replace_whole(target) as part:
        with part.open("x", encoding="utf-8", newline="") as file:
            writer = WRITERS[spec.format](file, top, several=manifest.task == SEVERAL)
            files = _list_others(folder, target)
            answers = answer_files(
                predictor, folder, files, top=top, threads=cores, min_score=spec.min_score
            )
            for answer in answers:
                writer.write(answer)
                predicted += not answer.error
                declined += not answer.error and not answer.labels
                unreadable += bool(answer.error)
                progress.advance()
        # Only now: who waits for the name must not find half a file.
        check_target(target, force=spec.force)
    progress.close()
    return PredictFolderOutcome(
        deployment=spec.deployment,
        version=found.version,
        files=predicted + unreadable,
        predicted=predicted,
        declined=declined,
        decline_below=_find_least(predictor, spec.min_score),
        unreadable=unreadable,
        seconds=time.monotonic() - begin,
        target_uri=target.as_uri(),
    )
