"""Find stages by name, check them before a row is read, and run them in order."""

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import io
import os
import pkgutil
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from serving.job.errors import UserError
from spark_jobs import stages as own_stages
from spark_jobs.context import StageContext
from spark_jobs.sample_weights import find_unfit
from spark_jobs.schemas import SAMPLES, WEIGHTS
from spark_jobs.session import place_file
from spark_jobs.spec import StageParams, StageSpec

STAGES_VARIABLE = "MODELMILL_STAGES"


@dataclass(frozen=True)
class Stage:
    """A stage that can be run; `run` takes the context only where `takes_context` says so."""

    name: str
    run: Callable[..., DataFrame]
    params: StageParams
    takes_context: bool


class StoppedChainError(UserError):
    """A stage cannot go on, and says why; rows: as the stages before it left them."""

    def __init__(self, sentence: str, rows: DataFrame) -> None:
        super().__init__(sentence)
        self.rows = rows


def user_folder() -> Path | None:
    """The user's own stages; UserError where the folder is not there."""
    given = os.environ.get(STAGES_VARIABLE)
    if not given:
        return None
    folder = Path(given).expanduser()
    if not folder.is_dir():
        raise UserError(f"{STAGES_VARIABLE}={given} is no folder: name the one with your stages.")
    return folder


def list_own_stages() -> list[str]:
    """Names of the stages that ship, from a folder or from a zip alike."""
    return sorted(module.name for module in pkgutil.iter_modules(own_stages.__path__))


def list_user_stages(folder: Path | None) -> list[str]:
    """Names of the user's own; a stage's test beside it is none."""
    names = [path.stem for path in folder.glob("*.py")] if folder else []
    return sorted(n for n in names if n not in ("__init__", "conftest") and n[:5] != "test_")


def _load_user_module(path: Path) -> ModuleType:
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    if known is not None or importlib.util.find_spec(path.stem) is not None:
        raise UserError(f"{path}: a stage cannot be named like the Python module {path.stem!r}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} cannot be loaded as Python.")
    module = importlib.util.module_from_spec(spec)
    # Executors look its functions up under this very name, in the archive that they are sent.
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[path.stem]
        raise UserError(f"Stage {path}: {type(error).__name__}: {error}") from error
    return module


def load_module(name: str, folder: Path | None) -> ModuleType:
    """A stage's module, its own or the user's; UserError where it is neither, or both."""
    own, user = list_own_stages(), list_user_stages(folder)
    if name in own and name in user:
        raise UserError(f"Stage {name!r} is in {folder} and ships too: give yours another name.")
    if name in own:
        return importlib.import_module(f"{own_stages.__name__}.{name}")
    if name in user and folder is not None:
        return _load_user_module(folder / f"{name}.py")
    there = [*own, *user]
    close = difflib.get_close_matches(name, there, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    where = f" (yours are looked for in {folder})" if folder else f" ({STAGES_VARIABLE} is not set)"
    raise UserError(
        f"There is no stage {name!r}.{hint} Stages that exist: {', '.join(there)}{where}."
    )


def _describe(error: ValidationError, name: str, params: type[StageParams]) -> str:
    lines = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"]))
        close = difflib.get_close_matches(field, params.model_fields, n=1)
        unknown = problem["type"] == "extra_forbidden"
        hint = f" Did you mean {close[0]!r}?" if unknown and close else ""
        said = problem["msg"].removeprefix("Value error, ")
        said = "there is no such parameter." if unknown else f"{said}."
        lines.append(f"{field}={problem['input']!r}: {said}{hint}")
    allowed = ", ".join(params.model_fields) or "none"
    return f"Stage {name!r}: {' '.join(lines)} Its parameters: {allowed}."


def _load_stage(spec: StageSpec, folder: Path | None) -> Stage:
    module = load_module(spec.name, folder)
    run, params = getattr(module, "run", None), getattr(module, "Params", StageParams)
    if not callable(run):
        raise UserError(f"Stage {spec.name!r} has no function run(samples, params).")
    if not (isinstance(params, type) and issubclass(params, StageParams)):
        raise UserError(f"Stage {spec.name!r}: Params must be a subclass of StageParams.")
    arguments = len(inspect.signature(run).parameters)
    if arguments not in (2, 3):
        raise UserError(
            f"Stage {spec.name!r}: run takes {arguments} arguments; allowed are (samples, params) "
            "and (samples, params, context)."
        )
    try:
        values = params.model_validate(spec.params)
    except ValidationError as error:
        raise UserError(_describe(error, spec.name, params)) from None
    return Stage(spec.name, run, values, takes_context=arguments == 3)


def load_stages(specs: Sequence[StageSpec], folder: Path | None) -> list[Stage]:
    """All stages of a chain with their parameters; UserError at the first that cannot be used."""
    stages = [_load_stage(spec, folder) for spec in specs]
    for place, stage in enumerate(stages):
        late = [other.name for other in stages[place:] if other.name in stage.params.comes_after]
        if late:
            raise UserError(
                f"Stage {stage.name!r} needs what {late[0]!r} decides, but is named before it: "
                f"name it after {late[0]!r}."
            )
    return stages


def ship_stages(spark: SparkSession, folder: Path) -> None:
    """Send the user's modules to the executors, whatever their paths are."""
    files = sorted(folder.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in files:
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    placed = place_file(f"stages-{digest}.zip", buffer.getvalue())
    spark.sparkContext.addPyFile(str(placed))


def _check_columns(before: DataFrame, rows: DataFrame, stage: str) -> None:
    kept = [*SAMPLES.names, *(name for name in WEIGHTS.names if name in before.columns)]
    missing = [name for name in kept if name not in rows.columns]
    if missing:
        raise UserError(
            f"Stage {stage!r} took away {', '.join(missing)}: a stage may add columns, and keeps "
            "those of SAMPLES and of WEIGHTS."
        )
    wrong = [
        f"{field.name} is {rows.schema[field.name].dataType.simpleString()}, "
        f"not {field.dataType.simpleString()}"
        for field in SAMPLES.fields
        if rows.schema[field.name].dataType != field.dataType
    ]
    if wrong:
        raise UserError(f"Stage {stage!r} changed types of SAMPLES: {'; '.join(wrong)}.")
    unfit = find_unfit(rows.schema)
    if unfit:
        raise UserError(f"Stage {stage!r}: {'; '.join(unfit)}.")


def _run_one(samples: DataFrame, stage: Stage, context: StageContext) -> DataFrame:
    arguments = (stage.params, context) if stage.takes_context else (stage.params,)
    try:
        rows = stage.run(samples, *arguments)
    except UserError as error:
        raise StoppedChainError(str(error), samples) from error
    if not isinstance(rows, DataFrame):
        raise UserError(f"Stage {stage.name!r} returned {type(rows).__name__}, not a DataFrame.")
    _check_columns(samples, rows, stage.name)
    return rows


def run_stages(samples: DataFrame, stages: Iterable[Stage], context: StageContext) -> DataFrame:
    """Chain the stages; `rejected_by` names the stage that set reject_reason, "" if none did."""
    before = F.when(F.col("reject_reason").isNotNull(), F.lit(""))
    rows = samples.withColumn("rejected_by", before)
    for stage in stages:
        with context.findings.time_step(stage.name):
            rows = _run_one(rows, stage, context)
        here = F.when(F.col("reject_reason").isNotNull(), F.lit(stage.name))
        rows = rows.withColumn("rejected_by", F.coalesce("rejected_by", here))
    return rows


def find_dropping_stage(
    samples: DataFrame, stages: Sequence[Stage], context: StageContext
) -> str | None:
    """The first stage after which there is another number of rows. Slow: only after a failure."""
    rows, expected = samples, samples.count()
    for stage in stages:
        rows = _run_one(rows, stage, context)
        if rows.count() != expected:
            return stage.name
    return None
