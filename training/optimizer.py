"""The one optimizer of all depths."""

import paddle

from serving.job.search import Recipe


def make_optimizer(head: paddle.nn.Layer, recipe: Recipe) -> paddle.optimizer.Optimizer:
    """AdamW that pulls only matrices towards zero: a bias or a gain has nothing to overfit with."""
    decayed = {p.name for name, p in head.named_parameters() if name.endswith("weight")}
    return paddle.optimizer.AdamW(
        learning_rate=recipe.learning_rate,
        parameters=head.parameters(),
        weight_decay=recipe.weight_decay,
        apply_decay_param_fun=decayed.__contains__,
    )
