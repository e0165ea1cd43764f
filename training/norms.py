"""Batch normalisation's statistics: kept as they were pretrained, or learned by all ranks alike."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import paddle
from paddle import nn

from training.ranks import Ranks


@contextmanager
def quiet_norms() -> Iterator[None]:
    """Without Paddle's note that norms learn, at every pass, whether they do or not."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="When training, we now always track")
        yield


def keep_statistics(network: nn.Layer) -> None:
    """Let a network's norms use the statistics that they have, in training, too.

    Their gains and biases are trained all the same.
    """
    for norm in _list_norms(network):
        norm._use_global_stats = True


def synchronize(network: nn.Layer) -> nn.Layer:
    """The same network with norms that learn from the batches of all cards together."""
    converted: nn.Layer = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return converted


def _list_norms(network: nn.Layer) -> list[nn.BatchNorm2D]:
    return [one for one in network.sublayers() if isinstance(one, nn.BatchNorm2D)]


class Statistics:
    """What norms learn on each rank from its own share of the batches."""

    def __init__(self, network: nn.Layer, ranks: Ranks) -> None:
        learning = [one for one in _list_norms(network) if one._use_global_stats is None]
        self._learned: list[paddle.Tensor] = [
            each for norm in learning for each in (norm._mean, norm._variance)
        ]
        self._ranks = ranks

    def share(self) -> None:
        """Give all ranks their mean: a network is then the same on every one."""
        if self._ranks.size == 1 or not self._learned:
            return
        parts = [one.numpy().astype(np.float64) for one in self._learned]
        total = self._ranks.sum(np.concatenate([part.ravel() for part in parts]))
        places = np.cumsum([part.size for part in parts])[:-1]
        for tensor, part in zip(self._learned, np.split(total, places), strict=True):
            shared = (part / self._ranks.size).astype(np.float32)
            tensor.set_value(shared.reshape(tensor.shape))
