"""The job train: what rank 0 does, and what the others do."""

import contextlib
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from serving.job import store
from serving.job.search import SEARCH_FILE, Cost, Search
from training import checkpoint
from training.cost import Meter
from training.deepen import clear_scratch, find_deepest
from training.depths import split_network
from training.export import check_bundle, read_backbones, upload, write_bundle
from training.head_weights import HEAD_FILE, hash_weights, write_head
from training.out_of_fold import write_out_of_fold
from training.pictures import clear_pictures
from training.ranks import join_ranks
from training.search.search import choose_inputs, gather_material
from training.search.study import find_study_file
from training.spec import TrainOutcome, TrainSpec
from training.tasks.protocol import load_task
from training.tracking import Tracking, TrackingError, find_server, open_run
from training.winner import Winner

BUNDLE_FOLDER = "bundle"


def follow(spec: TrainSpec) -> None:
    """Search and train along with rank 0; it does the rest."""
    data, task = load_task(spec.task)
    meter, material = Meter(), gather_material(spec, data)
    ranks = join_ranks(spec.devices)
    find_deepest(spec, ranks, material, task)
    meter.read(ranks)
    if ranks.node and ranks.here.leads:
        # All else lies on the first machine.
        clear_pictures(checkpoint.find_scratch(spec.scratch_uri))


def lead(spec: TrainSpec) -> TrainOutcome:
    """Search, train, export, check, track; study and checkpoint go when all is done."""
    meter = Meter()
    server = find_server()
    with ThreadPoolExecutor() as pool:
        found = pool.submit(read_backbones, choose_inputs(spec))
        data, task = load_task(spec.task)
        # Before joining: what cannot be trained on is then found before ranks wait for one another.
        material, backbones = gather_material(spec, data), found.result()
        ranks = join_ranks(spec.devices)
        # Importing MLflow takes as long as a training: it happens beside it.
        probe = pool.submit(data.read_probe, spec)
        opened = pool.submit(open_run, server, spec, ranks)
        try:
            winner = find_deepest(spec, ranks, material, task)
            head, body = split_network(winner.trained.head)
            out_of_fold = write_out_of_fold(spec, winner, material, task)
            cost = meter.read(ranks)
            # Many small requests, which MLflow answers beside the export.
            tracked = pool.submit(_track, opened, winner, cost)
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                network = write_bundle(
                    spec,
                    head,
                    task,
                    chosen=winner.given,
                    measured=winner.measured,
                    backbone=backbones[winner.given.backbone.name],
                    folder=folder,
                    body=body,
                    thresholds=out_of_fold.thresholds,
                )
                # Beside the check, too: nothing of an attempt counts before its outcome.
                bundle_uri = store.join(spec.output_uri, BUNDLE_FOLDER)
                copied = pool.submit(upload, folder, bundle_uri)
                kept = pool.submit(_keep, tracked, folder)
                head_uri = store.join(spec.output_uri, HEAD_FILE)
                write_head(head_uri, head, winner.trained.scaling)
                search_uri = _write_search(spec, winner.found.search)
                preprocessing = winner.given.preprocessing
                agreement = check_bundle(folder, network, probe.result(), preprocessing)
                tracking = kept.result()
                tracking.log_agreement(agreement)
                copied.result()
        except BaseException:
            # If the run was never opened, the first error is still the one to show.
            if opened.exception() is None:
                with contextlib.suppress(TrackingError):
                    opened.result().finish(failed=True)
            raise
        tracking.finish()
    _clear_scratch(spec)
    search, measured = winner.found.search, winner.measured
    print(_describe(winner, agreement, cost), flush=True)
    return TrainOutcome(
        bundle_uri=bundle_uri,
        search_uri=search_uri,
        mlflow_run_id=tracking.run_id,
        ranks=ranks.size,
        device=ranks.device,
        recipe=search.chosen.recipe,
        trials=len(search.trials),
        ended_because=search.ended_because,
        folds=search.folds,
        best_epoch=winner.best_epoch,
        val_accuracy=measured.accuracy,
        val_loss=measured.loss,
        agreement=agreement,
        weights_sha256=hash_weights(winner.trained.head),
        cost=cost,
        resolved=winner.resolved,
        head_uri=head_uri,
        out_of_fold_uri=out_of_fold.uri,
    )


def _describe(winner: Winner, agreement: float, cost: Cost) -> str:
    measured = winner.measured
    return (
        f"Best epoch {winner.best_epoch}: val accuracy {measured.accuracy:.4f}, "
        f"val loss {measured.loss:.4f}. ONNX and Paddle agree within {agreement:.1e}. "
        f"Took {cost.cpu_seconds:.0f} CPU-seconds, {cost.gpu_seconds:.0f} GPU-seconds, and "
        f"{cost.peak_mb:.0f} MB in the largest process."
    )


def _track(opened: "Future[Tracking]", winner: Winner, cost: Cost) -> Tracking:
    tracking = opened.result()
    tracking.log_search(winner.found.search)
    tracking.log_winner(winner, cost)
    return tracking


def _keep(tracked: "Future[Tracking]", folder: Path) -> Tracking:
    tracking = tracked.result()
    tracking.log_bundle(folder)
    return tracking


def _write_search(spec: TrainSpec, search: Search) -> str:
    uri = store.join(spec.output_uri, SEARCH_FILE)
    store.write_bytes(uri, search.model_dump_json(indent=1).encode())
    return uri


def _clear_scratch(spec: TrainSpec) -> None:
    folder = checkpoint.find_scratch(spec.scratch_uri)
    checkpoint.remove_all(folder)
    clear_scratch(folder)
    find_study_file(folder).unlink(missing_ok=True)
