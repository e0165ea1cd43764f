"""What all APIs share: one bundle, one queue, one way to answer."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

import numpy as np

from serving.batching import Batcher, ExpiredError, Row
from serving.body import NAME_CHARACTERS, Intake, Upload
from serving.bundle import codec
from serving.bundle.labels import choose_labels, measure_sureness, write_labels
from serving.bundle.manifest import SEVERAL
from serving.bundle.predictor import Predictor, find_threshold
from serving.keeping import Keeper
from serving.limits import Limits
from serving.pace import Pace
from serving.request_errors import RequestError, busy
from serving.schemas import (
    AnsweringModel,
    LabelScore,
    ModelInfo,
    Prediction,
)
from serving.telemetry import Metrics

NO_SCORES = "The model's scores for this picture are no numbers: it should not be in service."
BAD_PIXELS = "For these pixels the model's scores are no numbers: are they as the metadata says?"


def describe_model(predictor: Predictor, deployment: str, version: int) -> ModelInfo:
    """What GET /v1/model answers."""
    manifest = predictor.manifest
    lineage = manifest.lineage.model_dump(exclude={"backbone_sha256"})
    return ModelInfo(
        deployment=deployment,
        version=version,
        task=manifest.task,
        classes=manifest.classes,
        metrics=manifest.metrics,
        operating_point=predictor.operating_point,
        thresholds=dict(zip(manifest.classes, manifest.thresholds, strict=True))
        if manifest.task == SEVERAL
        else None,
        **lineage,
    )


class Service:
    """Answers pictures with scores, as many at once as the cores can bear."""

    def __init__(
        self,
        predictor: Predictor,
        model: ModelInfo,
        limits: Limits,
        cores: int,
        metrics: Metrics,
        *,
        keeper: Keeper | None = None,
    ) -> None:
        self.keeper = keeper
        self.model, self.limits, self.predictor = model, limits, predictor
        self.metrics = metrics
        fields = set(AnsweringModel.model_fields)
        self.answering_model = AnsweringModel.model_validate(model.model_dump(include=fields))
        self.intake = Intake(limits)
        self.draining = False
        self._places = limits.max_queue * cores
        self._taken, self._pace = 0, Pace()
        # What is in work at once is no queue.
        self._fewest = limits.max_batch * cores
        self._batcher = Batcher(
            predictor.run,
            threads=cores,
            max_batch=limits.max_batch,
            max_wait_seconds=limits.max_wait_ms / 1000,
            watcher=metrics,
        )
        metrics.watch_queue(lambda: self._taken)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the scores."""
        return self.predictor.manifest.classes

    @property
    def size(self) -> int:
        """Side of the network's input, in pixels."""
        return self.predictor.manifest.preprocessing.size

    @property
    def threshold(self) -> float:
        """Smallest best score that the bundle calls an answer; 0 where it names none."""
        return find_threshold(self.predictor)

    @property
    def is_several(self) -> bool:
        """Whether a picture may show several classes."""
        return self.predictor.manifest.task == SEVERAL

    def find_refusal(self) -> RequestError | None:
        """The error where there is no room: known before a body is read."""
        if self._taken >= self._places:
            return busy(f"{self._taken} pictures are in work")
        # The machine may be slower than it was, or shared: a late answer helps nobody.
        expected = self._pace.expect(self._taken)
        if self._taken >= self._fewest and expected > self.limits.max_queue_seconds:
            return busy(f"The answer would take {expected:.1f} s")
        return None

    @contextmanager
    def _take(self, pictures: int) -> Iterator[None]:
        limit = min(self.limits.max_pictures, self._places)
        if pictures > limit:
            raise RequestError(
                413, "too_many", f"The request holds {pictures} pictures: send at most {limit}."
            )
        if self._taken + pictures > self._places:
            raise busy(f"{self._taken} pictures are in work")
        ahead, begin = self._taken, time.monotonic()
        self._taken += pictures
        try:
            yield
            self._pace.observe(time.monotonic() - begin, ahead + pictures - 1)
        finally:
            self._taken -= pictures

    def _prepare(self, data: bytes) -> Row:
        if self.limits.max_pixels < codec.MAX_PIXELS:
            facts = codec.inspect(data)
            if facts.width * facts.height > self.limits.max_pixels:
                raise codec.BadImageError(
                    f"{facts.width} × {facts.height} pixels are more than "
                    f"{self.limits.max_pixels:,} in all"
                )
        return self.predictor.prepare_rows([self.predictor.prepare(data)])

    async def score_pictures(self, uploads: Sequence[Upload], request_id: str) -> list[Row]:
        """Scores [classes] of each picture, in their order; raises RequestError."""
        with self._take(len(uploads)):
            deadline = time.monotonic() + self.limits.answer_seconds
            futures = [
                self._batcher.submit(partial(self._prepare, upload.data), deadline)
                for upload in uploads
            ]
            scores = await self._gather(futures, uploads, RequestError(500, "no_scores", NO_SCORES))
        self._keep(uploads, scores, request_id)
        return scores

    def _keep(self, uploads: Sequence[Upload], scores: list[Row], request_id: str) -> None:
        if self.keeper is None:
            return
        for number, (upload, row) in enumerate(zip(uploads, scores, strict=True)):
            score = measure_sureness(row, self.predictor.manifest)
            if self.keeper.wants(score):
                self.keeper.keep(request_id, number, upload.data, self.name_answer(row), score)

    async def score_rows(self, rows: np.ndarray) -> list[Row]:
        """The same for prepared pictures [n, 3, size, size]; raises RequestError."""
        with self._take(len(rows)):
            deadline = time.monotonic() + self.limits.answer_seconds
            futures = [
                self._batcher.submit(partial(_keep, rows[n : n + 1]), deadline)
                for n in range(len(rows))
            ]
            unusable = RequestError(400, "bad_tensor", BAD_PIXELS)
            return await self._gather(futures, [Upload(b"")] * len(rows), unusable)

    async def _gather(
        self, futures: Sequence["Future[Row]"], uploads: Sequence[Upload], unusable: RequestError
    ) -> list[Row]:
        """unusable: what is said of scores that are no numbers."""
        scores = []
        try:
            for number, future in enumerate(futures):
                try:
                    scores.append(await asyncio.wrap_future(future))
                except codec.BadImageError as error:
                    name = _name(uploads, number)
                    raise RequestError(
                        400, "bad_image", f"{name} cannot be used: {error}."
                    ) from None
                except ExpiredError:
                    seconds = self.limits.answer_seconds
                    raise busy(f"The picture waited longer than {seconds:g} s") from None
        finally:
            for future in futures:
                future.cancel()
        # Not every API would notice: some would answer null.
        if not all(np.isfinite(row).all() for row in scores):
            raise unusable
        for row in scores:
            labels = self.find_labels(row)
            for label in labels if self.is_several else (self.name_answer(row),):
                self.metrics.count_label(label)
            if not labels:
                self.metrics.count_declined()
        return scores

    def predict(self, scores: Row, top: int | None) -> Prediction:
        """Scores → labels, and the best classes."""
        ranked = codec.rank_labels(scores, self.classes, top)
        # float32 sums may end a hair above 1.
        results = tuple(LabelScore(label=label, score=min(score, 1.0)) for label, score in ranked)
        labels = self.find_labels(scores)
        return Prediction(declined=not labels, labels=labels, results=results)

    def find_labels(self, scores: Row) -> tuple[str, ...]:
        """What the picture shows, best first; none: it looks like none of the classes."""
        return choose_labels(scores, self.predictor.manifest, self.threshold)

    def name_answer(self, scores: Row) -> str:
        """The answer as one string, as evaluations write it.

        The best class, even where that is declined; all labels where there may be several.
        """
        if self.is_several:
            return write_labels(self.find_labels(scores))
        return self.classes[int(np.argmax(scores))]

    def close(self) -> None:
        """Finish what was taken."""
        self._batcher.close()
        if self.keeper is not None:
            self.keeper.close()


def _keep(row: Row) -> Row:
    return row


def _name(uploads: Sequence[Upload], number: int) -> str:
    if len(uploads) == 1:
        return "The picture"
    name = uploads[number].name[:NAME_CHARACTERS]
    return f"Picture {number + 1} of {len(uploads)}" + (f", {name!r}," if name else "")
