"""What a new stage's two files begin as; its test passes as it is."""

import keyword
import re
import sys
from pathlib import Path
from string import Template

from serving.job.errors import UserError

OWN_STAGES = Path(__file__).parents[1] / "spark_jobs" / "stages"
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
STAGE = Template('''\
"""Reject files that are too small to show anything. (Say here what $name does.)"""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.schemas import reject
from spark_jobs.spec import StageParams


class Params(StageParams):
    """What can be set where the stage is named; each with a default."""

    min_bytes: int = 100


def run(samples: DataFrame, params: Params) -> DataFrame:
    """Set reject_reason, or add columns; a stage never drops a row."""
    too_small = F.col("size_bytes") < params.min_bytes
    return reject(samples, too_small, f"smaller than {params.min_bytes} bytes")
''')
TEST = Template('''\
"""$name on rows that are written here: change them together with the stage."""

import unittest

from $name import Params, run
from spark_jobs.sample_rows import make_samples
from spark_jobs.session import open_session


class StageTest(unittest.TestCase):
    def test_small_files_are_rejected(self) -> None:
        # Any column of SAMPLES (spark_jobs/schemas.py) can be given; the others are null.
        rows = [{"name": "small.png", "size_bytes": 99}, {"name": "large.png", "size_bytes": 100}]
        samples = make_samples(open_session("test"), rows)
        found = run(samples, Params(min_bytes=100)).collect()
        reasons = {row["name"]: row["reject_reason"] for row in found}
        self.assertEqual(
            reasons, {"small.png": "smaller than 100 bytes", "large.png": None}
        )


if __name__ == "__main__":
    unittest.main()
''')


def write_stage(name: str, folder: Path) -> tuple[Path, Path]:
    """Write NAME.py and test_NAME.py; UserError where the name cannot be, or a file is there."""
    if not NAME.fullmatch(name) or keyword.iskeyword(name) or name.startswith("test_"):
        raise UserError(
            f"NAME was {name!r}, but allowed is a verb and a noun: lower-case letters, digits and "
            "_, a letter first, not beginning with test_. Example: reject_blurred"
        )
    if name in sys.stdlib_module_names:
        raise UserError(f"NAME was {name!r}, which is a module of Python's own: choose another.")
    if (OWN_STAGES / f"{name}.py").exists():
        raise UserError(f"NAME was {name!r}, which is a stage that ships: choose another.")
    stage, test = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in (stage, test):
        if path.exists():
            raise UserError(f"{path} is there already; nothing was written. Choose another name.")
    folder.mkdir(parents=True, exist_ok=True)
    stage.write_text(STAGE.substitute(name=name))
    test.write_text(TEST.substitute(name=name))
    return stage, test
