"""Can what stages put into the columns of WEIGHTS be used?"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql.types import IntegralType, NumericType, StructType

from serving.job.errors import UserError

# More than this is no balance, and float32 has an end.
MOST = 1000
SHOWN = 5


@dataclass(frozen=True)
class _Rule:
    words: str
    kind: type[NumericType]
    allows: Callable[[Any], bool]


_RULES = {
    "sample_weight": _Rule(
        f"a number from 0 to {MOST:,}",
        NumericType,
        lambda value: math.isfinite(value) and 0 <= value <= MOST,
    ),
    "sample_repeats": _Rule(
        f"a whole number from 1 to {MOST:,}", IntegralType, lambda value: 1 <= value <= MOST
    ),
}


def find_unfit(schema: StructType) -> list[str]:
    """What is wrong with the columns' types, in words."""
    return [
        f"{name} is {schema[name].dataType.simpleString()}, but allowed is {rule.words}"
        for name, rule in _RULES.items()
        if name in schema.names and not isinstance(schema[name].dataType, rule.kind)
    ]


def check_weights(labels: pa.Table) -> None:
    """UserError where a train sample has a value that cannot be; the others' are not used."""
    names = [name for name in _RULES if name in labels.column_names]
    rows = labels.select(["name", "side", *names]).to_pylist()
    train = [row for row in rows if row["side"] == "train"]
    for name in names:
        rule = _RULES[name]
        bad = [row for row in train if row[name] is None or not rule.allows(row[name])]
        if bad:
            shown = sorted(f"{row['name']}: {_show(row[name])}" for row in bad)[:SHOWN]
            raise UserError(
                f"The stages gave {len(bad)} of {len(train)} train samples a {name} that cannot "
                f"be ({', '.join(shown)}{', …' if bad[SHOWN:] else ''}). Allowed is {rule.words}."
            )
        if train and not any(row[name] for row in train):
            raise UserError(f"The stages gave every train sample {name} 0: nothing is learned.")


def _show(value: float | None) -> str:
    return "null" if value is None else f"{value:g}"
