"""The one optimizer of all depths."""

import math

import paddle

from serving.job.search import Recipe

WARM_EPOCHS = 1.0


def make_optimizer(network: paddle.nn.Layer, recipe: Recipe) -> paddle.optimizer.Optimizer:
    """AdamW that pulls only matrices towards zero: a bias or a gain has nothing to overfit with."""
    decayed = {
        one.name
        for name, one in network.named_parameters()
        if name.endswith("weight") and not name.endswith("norm.weight")
    }
    return paddle.optimizer.AdamW(
        learning_rate=recipe.learning_rate,
        parameters=network.parameters(),
        weight_decay=recipe.weight_decay,
        apply_decay_param_fun=decayed.__contains__,
    )


def find_share(epochs: float, horizon: int) -> float:
    """Share of the learning rate after some epochs: up in the first, then down to 0 (a cosine).

    horizon: epochs until it is 0; 0: it stays.
    """
    if not horizon:
        return 1.0
    falling = (1 + math.cos(math.pi * min(1.0, epochs / horizon))) / 2
    return falling * min(1.0, epochs / WARM_EPOCHS)
