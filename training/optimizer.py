"""The one optimizer of all depths."""

import math

import paddle

from serving.job.search import Recipe
from training.tasks.protocol import Arrays

WARM_EPOCHS = 1.0


def make_optimizer(network: paddle.nn.Layer, recipe: Recipe) -> paddle.optimizer.Optimizer:
    """AdamW that pulls only matrices towards zero: a bias or a gain has nothing to overfit with."""
    decayed = {
        one.name
        for name, one in network.named_parameters()
        if name.endswith("weight") and one.ndim > 1
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


def copy_state(optimizer: paddle.optimizer.Optimizer, network: paddle.nn.Layer) -> Arrays:
    """The optimizer's arrays, each under its parameter's name in the network.

    Paddle keeps them under names that count the layers made in this process.
    """
    state = optimizer.state_dict()
    return {
        f"{name}/{key.removeprefix(parameter.name)}": value.numpy().copy()
        for name, parameter in network.named_parameters()
        for key, value in state.items()
        if key.startswith(f"{parameter.name}_")
    }


def set_state(
    optimizer: paddle.optimizer.Optimizer, network: paddle.nn.Layer, arrays: Arrays
) -> None:
    """Put back what copy_state gave."""
    names = {name: parameter.name for name, parameter in network.named_parameters()}
    state = {}
    for key, array in arrays.items():
        name, _, suffix = key.rpartition("/")
        state[names[name] + suffix] = paddle.to_tensor(array)
    optimizer.set_state_dict(state)
