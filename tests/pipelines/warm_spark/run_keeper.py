"""Runs a keeper with the arguments given as JSON."""

import json
import sys
from pathlib import Path

from pipelines.warm_spark.keeper import Keeper, Limits, OutdatedError

given = json.loads(sys.argv[1])
keeper = Keeper(
    given["argv"],
    given["environment"],
    fingerprint=given["fingerprint"],
    place=Path(given["place"]),
    limits=Limits(**given["limits"]),
)
try:
    keeper.serve()
except OutdatedError:
    print("outdated", flush=True)
