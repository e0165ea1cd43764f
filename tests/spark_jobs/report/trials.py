"""A model search to look at: three networks, eight trials of each."""

import numpy as np

from serving.job.search import Recipe, Search, Trial


def make_search() -> Search:
    """The best trial is the chosen one."""
    networks = {"efficientnet-lite0": (9.8, 13.5), "efficientnet-lite1": (15.1, 17.0)}
    networks["efficientnet-lite2"] = (21.4, 19.8)
    rng = np.random.default_rng(3)
    trials = []
    for number in range(24):
        name = list(networks)[number % 3]
        latency, size = networks[name]
        accuracy = 0.86 + 0.015 * (number % 3) + float(rng.normal(0, 0.012))
        trials.append(
            Trial(
                number=number,
                recipe=Recipe(input=f"{name} crop", head="mlp" if number % 4 == 3 else "linear"),
                state="finished",
                loss=1 - accuracy,
                accuracy=accuracy,
                best_epoch=20,
                latency_ms=latency * float(rng.uniform(0.97, 1.05)),
                model_mb=size,
                seconds=2.0,
                allowed=True,
            )
        )
    best = max(trials, key=lambda trial: trial.accuracy or 0.0).number
    return Search(
        trials=tuple(trials),
        best=best,
        ended_because="no_gain",
        folds=1,
        repeats=False,
        seconds=61.0,
    )
