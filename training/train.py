"""The job train: what rank 0 does, and what the others do."""

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving.job import store
from training import checkpoint
from training.backbones.catalogue import find_backbone
from training.export import export_bundle, read_backbone, upload
from training.loop import checkpoint_key, fit, hash_weights
from training.ranks import join_ranks
from training.spec import TrainOutcome, TrainSpec
from training.tasks.protocol import load_task
from training.tracking import TrackingError, find_server, open_run

BUNDLE_FOLDER = "bundle"


def follow(spec: TrainSpec) -> None:
    """Train along with rank 0; it does the rest."""
    data, model = load_task(spec.task)
    sides = data.read_sides(spec)
    fit(spec, join_ranks(spec.devices), sides, model)


def lead(spec: TrainSpec) -> TrainOutcome:
    """Train, export, check, track; the checkpoint goes when all is done."""
    find_backbone(spec.inputs[0].backbone.name)
    server = find_server()
    data, model = load_task(spec.task)
    # Before joining: what cannot be trained on is then found before ranks wait for one another.
    sides = data.read_sides(spec)
    backbone = read_backbone(spec.inputs[0].backbone)
    ranks = join_ranks(spec.devices)
    # Importing MLflow takes as long as the training: it happens beside it.
    with ThreadPoolExecutor() as pool:
        probe = pool.submit(data.read_probe, spec)
        opened = pool.submit(open_run, server, spec, ranks)
        try:
            trained = fit(spec, ranks, sides, model)
            with tempfile.TemporaryDirectory() as folder:
                bundle = export_bundle(
                    spec,
                    trained,
                    model,
                    backbone=backbone,
                    probe=probe.result(),
                    folder=Path(folder),
                )
                bundle_uri = store.join(spec.output_uri, BUNDLE_FOLDER)
                copied = pool.submit(upload, bundle.folder, bundle_uri)
                tracking = opened.result()
                tracking.log_curves(trained.progress)
                tracking.log_bundle(bundle.folder, bundle.agreement)
                copied.result()
        except BaseException:
            # If the run was never opened, the first error is still the one to show.
            if opened.exception() is None:
                with contextlib.suppress(TrackingError):
                    opened.result().finish(failed=True)
            raise
        tracking.finish()
    checkpoint.remove(checkpoint.find_file(spec.scratch_uri, checkpoint_key(spec, ranks)))
    best = trained.best
    print(
        f"Best epoch {trained.progress.best_epoch}: val accuracy {best.val_accuracy:.4f}, "
        f"val loss {best.val_loss:.4f}. ONNX and Paddle agree within {bundle.agreement:.1e}.",
        flush=True,
    )
    return TrainOutcome(
        bundle_uri=bundle_uri,
        mlflow_run_id=tracking.run_id,
        ranks=ranks.size,
        device=ranks.device,
        epochs_run=len(trained.progress.epochs),
        best_epoch=trained.progress.best_epoch,
        val_accuracy=best.val_accuracy,
        val_loss=best.val_loss,
        agreement=bundle.agreement,
        weights_sha256=hash_weights(trained.head),
    )
