"""The measuring part of ./modelmill bench near_duplicates; runs in the jobs' environment."""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serving.bundle import codec
from spark_jobs.near_duplicates.confirm import compare_thumbnails
from spark_jobs.near_duplicates.groups import (
    Groups,
    Labelled,
    Limits,
    count_classes,
    find_groups,
)
from spark_jobs.near_duplicates.look import Look, look_at, read_thumbnails
from spark_jobs.near_duplicates.propose import propose_pairs
from spark_jobs.stages.group_near_duplicates import Params
from tests.photos import find_photos
from tests.spark_jobs.near_duplicates.pictures import (
    COPIES,
    add_defect,
    copy_picture,
    make_scene,
    make_small_picture,
    shoot,
)

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif"}
PARAMS = Params()
CLASSES = 4


@dataclass(frozen=True)
class Picture:
    """A picture as the search sees it."""

    sample: Labelled
    look: Look
    aspect: float


@dataclass(frozen=True)
class Search:
    """What was found; samples go by their place, as a string."""

    groups: Groups
    proposed: set[tuple[str, str]]
    confirmed: int
    full_buckets: int
    seconds: float


def read_picture(content: bytes, name: str, label: str) -> Picture:
    facts = codec.inspect(content)
    return Picture(Labelled(name, label), look_at(content), facts.width / facts.height)


def search(pictures: Sequence[Picture]) -> Search:
    """As the stage does it, without Spark."""
    begin = time.monotonic()
    frequencies = np.stack([np.frombuffer(p.look.frequencies, np.float32) for p in pictures])
    aspects = np.array([p.aspect for p in pictures], np.float32)
    proposal = propose_pairs(frequencies, aspects, PARAMS.min_similarity)
    thumbnails = read_thumbnails([p.look.thumbnail for p in pictures])
    first, second = (thumbnails[ends] for ends in proposal.pairs.T)
    limit = PARAMS.max_difference
    is_copy = compare_thumbnails(first, second, limit) <= limit
    asked = [(str(a), str(b)) for a, b in proposal.pairs.tolist()]
    pairs = [pair for pair, copy in zip(asked, is_copy.tolist(), strict=True) if copy]
    samples = {str(i): picture.sample for i, picture in enumerate(pictures)}
    limits = Limits(PARAMS.max_group_share, PARAMS.max_group_size, count_classes(samples))
    groups = find_groups(samples, pairs, limits)
    return Search(
        groups=groups,
        proposed=set(asked),
        confirmed=len(pairs),
        full_buckets=proposal.full_buckets,
        seconds=round(time.monotonic() - begin, 2),
    )


def tell(finding: str, **values: object) -> None:
    print(json.dumps({"benchmark": "near_duplicates", "finding": finding, **values}), flush=True)


def tell_false_groups(title: str, pictures: Sequence[Picture]) -> None:
    """Nothing was planted here; what is named may yet be a true copy: look at it."""
    found = search(pictures)
    grouped = len(found.groups.near)
    tell(
        "false groups",
        set=title,
        pictures=len(pictures),
        grouped=grouped,
        share=round(grouped / len(pictures), 4),
        groups=[
            [pictures[int(i)].sample.name for i in group] for group in found.groups.groups[:10]
        ],
        over_large=[len(group) for group in found.groups.over_large],
        cross_label_pairs=len(found.groups.cross_label),
        proposed=len(found.proposed),
        confirmed=found.confirmed,
        full_buckets=found.full_buckets,
        seconds=found.seconds,
    )


def tell_recall(
    title: str, pictures: Sequence[Picture], contents: Sequence[bytes], chosen: Sequence[int]
) -> None:
    """A copy of each chosen picture, one kind at a time, among all the pictures."""
    for kind in COPIES:
        chance = np.random.default_rng(7)
        copies = [
            read_picture(
                copy_picture(contents[i], kind, chance),
                f"copy of {pictures[i].sample.name}",
                pictures[i].sample.label,
            )
            for i in chosen
        ]
        found = search([*pictures, *copies])
        near = found.groups.near
        pairs = [(str(i), str(len(pictures) + n)) for n, i in enumerate(chosen)]
        true = set(pairs)
        wrong = {(a, b) for a, others in near.items() for b in others if a < b} - {
            (min(p), max(p)) for p in true
        }
        tell(
            "recall",
            set=title,
            kind=kind,
            planted=len(pairs),
            recall=round(sum(b in near.get(a, ()) for a, b in pairs) / len(pairs), 4),
            proposed=round(len(true & found.proposed) / len(pairs), 4),
            other_pairs_joined=len(wrong),
            over_large=[len(group) for group in found.groups.over_large],
            seconds=found.seconds,
        )


def read_folder(folder: Path) -> tuple[list[Picture], list[bytes]]:
    """Every readable picture below a folder; its own folder's name is its label."""
    pictures, contents = [], []
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        content = path.read_bytes()
        try:
            pictures.append(read_picture(content, path.name, path.parent.name))
        except codec.BadImageError:
            continue
        contents.append(content)
    return pictures, contents


def make_camera_set(
    good: int, defective: int, noise: float, size: tuple[int, int] = (640, 480)
) -> tuple[list[Picture], list[bytes]]:
    """One scene, again and again."""
    chance = np.random.default_rng(1)
    scene = make_scene(*size)

    def contents() -> Iterable[tuple[bytes, str]]:
        for _ in range(good):
            yield shoot(scene, noise, chance), "good"
        for _ in range(defective):
            yield shoot(add_defect(scene, chance), noise, chance), "defective"

    made = list(contents())
    pictures = [
        read_picture(content, f"{label} {i}", label) for i, (content, label) in enumerate(made)
    ]
    return pictures, [content for content, _ in made]


def main() -> None:
    parser = argparse.ArgumentParser(prog="./modelmill bench near_duplicates")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=find_photos(), help="pictures to copy"
    )
    parser.add_argument("--planted", type=int, default=400, help="copies of a kind, at most")
    parser.add_argument(
        "--among", type=int, default=0, help="also plant them among so many small pictures"
    )
    parser.add_argument("--good", type=int, default=500)
    parser.add_argument("--defective", type=int, default=100)
    parser.add_argument("--noise", type=float, nargs="+", default=[2.0, 4.0, 8.0])
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder: name one with pictures in it")
    begin = time.monotonic()
    pictures, contents = read_folder(arguments.folder)
    if not pictures:
        parser.error(f"{arguments.folder} holds no picture that can be read")
    each = (time.monotonic() - begin) / len(pictures)
    tell("cost", set=arguments.folder.name, milliseconds_a_picture=round(1000 * each, 2))
    tell_false_groups(arguments.folder.name, pictures)
    chosen = range(len(pictures))[: arguments.planted]
    tell_recall(arguments.folder.name, pictures, contents, chosen)
    if arguments.among:
        contents = [make_small_picture(number) for number in range(arguments.among)]
        pictures = [
            read_picture(content, str(i), f"class {i % CLASSES}")
            for i, content in enumerate(contents)
        ]
        tell_false_groups("small pictures", pictures)
        tell_recall("small pictures", pictures, contents, range(arguments.planted))
    for noise in arguments.noise:
        title = f"fixed camera, sensor noise {noise:g}"
        pictures, contents = make_camera_set(arguments.good, arguments.defective, noise)
        tell_false_groups(title, pictures)
        step = max(1, len(pictures) // min(60, arguments.planted))
        tell_recall(title, pictures, contents, range(0, len(pictures), step))


if __name__ == "__main__":
    main()
