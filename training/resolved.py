"""All that decided a training's weights beside its samples, and where it is different now."""

import os
import platform

import numpy as np
import paddle

from training.cpu import describe_cpu
from training.fit import Fit
from training.ranks import Ranks
from training.spec import Resolved, WarmStart

THREADS_VARIABLE = "OMP_NUM_THREADS"


def resolve(fit: Fit, ranks: Ranks, code_version: str, start: WarmStart | None) -> Resolved:
    """What this process and its peers train by."""
    return Resolved(
        recipe=fit.recipe,
        epochs=fit.epochs,
        patience=fit.patience,
        min_delta=fit.min_delta,
        seed=fit.seed,
        ranks=ranks.size,
        nodes=ranks.nodes,
        threads=int(os.environ.get(THREADS_VARIABLE) or os.cpu_count() or 1),
        device=ranks.device,
        cpu=describe_cpu(),
        python=platform.python_version(),
        paddle=paddle.__version__,
        numpy=np.__version__,
        code_version=code_version,
        horizon=fit.horizon,
        start=start if fit.start is not None else None,
    )


def find_differences(then: Resolved, now: Resolved) -> tuple[str, ...]:
    """A few words for each thing that is not as it was; a base differs in nothing else."""
    before, after = (one.model_dump(exclude={"base"}) for one in (then, now))
    return tuple(
        f"{name} {before[name]} then, {after[name]} now"
        for name in before
        if before[name] != after[name]
    )
