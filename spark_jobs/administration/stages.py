"""Which stages there are, and what one does to a few rows."""

import inspect
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic.fields import FieldInfo
from pyspark.sql import DataFrame, SparkSession

from serving.job import store
from serving.job.errors import UserError
from serving.job.labels import read_task
from spark_jobs.administration.raw import name_segment, read_contents
from spark_jobs.administration.spec import (
    ColumnChange,
    ListStagesSpec,
    StageInfo,
    StageList,
    StageParam,
    TryStageOutcome,
    TryStageSpec,
    ValueChange,
)
from spark_jobs.context import CachedInput, StageContext
from spark_jobs.database import connect
from spark_jobs.facts import FactsCache
from spark_jobs.findings import Findings
from spark_jobs.pairs import PairsCache
from spark_jobs.runner import (
    list_own_stages,
    list_user_stages,
    load_module,
    load_stages,
    run_stages,
    ship_stages,
    user_folder,
)
from spark_jobs.sample_rows import make_samples
from spark_jobs.session import open_session
from spark_jobs.spec import Rejection, StageParams, StageSpec
from spark_jobs.tables import FeatureCache, RawContent

DECODE = "decode_image"
LIMITS = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
EXAMPLES = 5
WIDTH = 60


def _describe_param(name: str, field: FieldInfo, schema: Mapping[str, Any]) -> StageParam:
    limits = ", ".join(f"{sign} {schema[key]}" for key, sign in LIMITS.items() if key in schema)
    return StageParam(
        name=name,
        type=inspect.formatannotation(field.annotation),
        limits=limits,
        required=field.is_required(),
        # The schema's default is JSON, whatever Python object the field has.
        default=schema.get("default"),
        description=field.description or "",
    )


def describe_stage(name: str) -> StageInfo:
    """A stage's docstring and parameters; where it cannot be loaded, why."""
    folder = user_folder()
    origin = "" if name in list_own_stages() or folder is None else str(folder / f"{name}.py")
    try:
        module = load_module(name, folder)
        # What is no stage is told as a run would tell it; values that it needs are not.
        params = getattr(module, "Params", StageParams)
        known = isinstance(params, type) and issubclass(params, StageParams)
        if not known or not any(field.is_required() for field in params.model_fields.values()):
            load_stages([StageSpec(name=name)], folder)
    except UserError as error:
        return StageInfo(name=name, origin=origin, problem=str(error))
    schemas = params.model_json_schema().get("properties", {})
    return StageInfo(
        name=name,
        origin=origin,
        doc=inspect.getdoc(module) or "",
        params_doc="" if params is StageParams else inspect.getdoc(params) or "",
        params=tuple(
            _describe_param(field_name, field, schemas.get(field_name, {}))
            for field_name, field in params.model_fields.items()
        ),
    )


def list_stages(_: ListStagesSpec) -> StageList:
    """Those that ship, then the user's."""
    names = dict.fromkeys([*list_own_stages(), *list_user_stages(user_folder())])
    return StageList(stages=tuple(describe_stage(name) for name in names))


def _read_rows(spec: TryStageSpec) -> list[dict[str, object]]:
    """A few active samples, with their bytes; the same ones each time, from all classes."""
    with connect() as database:
        wanted = {"dataset": spec.dataset, "state": "active"}
        found = list(database["samples"].find(wanted).sort("sha256", 1).limit(spec.limit))
    places = {one["sha256"]: name_segment(one["segment"]) for one in found}
    contents = dict(read_contents(spec.raw_uri, places))
    columns = ("sha256", "name", "label", "group", "split", "side", "segment", "size_bytes")
    rows = [
        {**{name: one[name] for name in columns}, "content": contents[one["sha256"]]}
        for one in found
        if one["sha256"] in contents
    ]
    if not rows:
        raise UserError(f"Dataset {spec.dataset!r} has no active sample with bytes to try on.")
    return rows


def _make_context(spark: SparkSession, samples: DataFrame, spec: TryStageSpec) -> StageContext:
    """A world of the trial's own: nothing that a stage writes gets into the real one."""
    raw_uri = store.join(spec.output_uri, "raw")
    samples.select("sha256", "name", "content").write.mode("overwrite").parquet(raw_uri)
    features = FeatureCache(spark, store.join(spec.output_uri, "features"), "try")
    with connect() as database:
        task = read_task(database, spec.dataset)
    return StageContext(
        spark=spark,
        # No dataset can have this name, so no sample is given a side for life.
        dataset="-",
        seed=0,
        cutoff=datetime.now(UTC),
        inputs=(CachedInput(spec.input, features),),
        facts=FactsCache(spark, store.join(spec.output_uri, "facts")),
        pairs=PairsCache(spark, store.join(spec.output_uri, "pairs")),
        findings=Findings(),
        raw=RawContent(spark, (raw_uri,)),
        task=task,
    )


def _collect(rows: DataFrame) -> dict[str, dict[str, Any]]:
    return {row["sha256"]: row for row in rows.drop("rejected_by").toArrow().to_pylist()}


def try_stage(spec: TryStageSpec) -> TryStageOutcome:
    """Decode a few rows, run the stage on them, and compare."""
    folder = user_folder()
    first = [] if spec.stage.name == DECODE else [StageSpec(name=DECODE)]
    *before_it, stage = load_stages([*first, spec.stage], folder)
    rows = _read_rows(spec)
    spark = open_session(f"try {spec.stage.name}")
    if folder is not None:
        ship_stages(spark, folder)
    samples = make_samples(spark, rows)
    context = _make_context(spark, samples, spec)
    decoded = run_stages(samples, before_it, context).drop("rejected_by").persist()
    before = _collect(decoded)
    result = run_stages(decoded, [stage], context).persist()
    after = _collect(result)
    if result.count() != len(before) or after.keys() != before.keys():
        raise UserError(
            f"Stage {stage.name!r} dropped or doubled rows: {len(before)} went in, "
            f"{result.count()} came out. A stage sets reject_reason instead."
        )
    return _compare(stage.name, before, after)


def _compare(
    stage: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> TryStageOutcome:
    earlier = {sha for sha, row in before.items() if row["reject_reason"] is not None}
    rejected = [
        Rejection(name=row["name"], reason=row["reject_reason"])
        for sha, row in after.items()
        if row["reject_reason"] is not None and sha not in earlier
    ]
    columns = [name for name in next(iter(after.values())) if name != "reject_reason"]
    old_columns = next(iter(before.values())).keys()
    changes = (_compare_column(name, name not in old_columns, before, after) for name in columns)
    return TryStageOutcome(
        stage=stage,
        rows=len(before),
        rejected_before=len(earlier),
        rejected=tuple(sorted(rejected, key=lambda one: one.name)),
        changed=tuple(change for change in changes if change.rows or change.added),
    )


def _compare_column(
    name: str,
    added: bool,
    before: Mapping[str, Mapping[str, Any]],
    after: Mapping[str, Mapping[str, Any]],
) -> ColumnChange:
    changed = [sha for sha in sorted(after) if before[sha].get(name) != after[sha][name]]
    examples = tuple(
        ValueChange(
            name=after[sha]["name"],
            before=_show(before[sha].get(name)),
            after=_show(after[sha][name]),
        )
        for sha in changed[:EXAMPLES]
    )
    return ColumnChange(column=name, added=added, rows=len(changed), examples=examples)


def _show(value: object) -> str:
    if value is None:
        return "null"
    text = f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
