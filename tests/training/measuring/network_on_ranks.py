"""Script for the launcher: some steps of a whole network on drawn pictures."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from serving.bundle.manifest import Preprocessing
from serving.job.search import Recipe
from training.backbones.catalogue import CATALOGUE, load_pretrained
from training.batches import SMALLEST
from training.depths import NETWORK, Whole
from training.fit import Fit, Rows
from training.norms import keep_statistics
from training.ranks import join_ranks
from training.sources import Pictures
from training.tasks.protocol import Scaling, load_task
from training.trainer import Trainer

CLASSES, FEATURES = ("one", "other"), 1280


def main() -> None:
    """Train; rank 0 writes down how long it took."""
    steps, folder = int(sys.argv[1]), Path(sys.argv[2])
    ranks, task = join_ranks("cpu"), load_task("classification")[1]
    recipe = NETWORK.change(Recipe(input=CATALOGUE[0].name), NETWORK.first)
    scaling = Scaling.leave(FEATURES)
    head = task.make_head(recipe, scaling, len(CLASSES), 0, seed=0)
    network = Whole(load_pretrained(CATALOGUE[0]).extractor, head)
    keep_statistics(network)
    count, size = SMALLEST * (steps + 1), Preprocessing().size
    chance = np.random.default_rng(0)
    pixels = chance.integers(0, 256, (count, size, size, 3), np.uint8)
    rows = Rows(
        inputs=Pictures(pixels, Preprocessing()),
        targets=np.arange(count) % len(CLASSES),
        weights=np.ones(count, np.float32),
        learned=np.arange(count),
        judged=np.zeros(0, np.int64),
        scaling=scaling,
    )
    fit = Fit(recipe, 0, 1, 1, 0.0, CLASSES, horizon=1)
    trainer = Trainer(fit, ranks, rows, task, network)
    ends: list[tuple[float, float]] = []
    trainer.run_epoch(lambda: ends.append((time.monotonic(), time.process_time())))
    wall, used = (ends[-1][at] - ends[0][at] for at in (0, 1))
    used = float(ranks.sum(np.array([used]))[0])
    found = {"pictures": SMALLEST, "seconds": wall / steps, "cpu_seconds": used / steps}
    if ranks.leads:
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
