"""What the model server tells of each request: an id, a log line, metrics."""

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a cached answer to a decode of the largest picture, in seconds.
BUCKETS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0)
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 1.0)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Prometheus metrics of one server, in a registry of its own."""

    def __init__(self, deployment: str, version: int) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "modelmill_requests", "Requests", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "modelmill_request_seconds",
            "Seconds from the first byte to the answer",
            ["path"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.refused = Counter(
            "modelmill_refused", "Requests sent away at the door", registry=registry
        )
        self._decode = Histogram(
            "modelmill_decode_seconds",
            "Seconds to decode a picture",
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._infer = Histogram(
            "modelmill_inference_seconds",
            "Seconds of the network for one batch",
            buckets=STAGE_BUCKETS,
            registry=registry,
        )
        self._batch = Histogram(
            "modelmill_batch_pictures",
            "Pictures that the network saw at once",
            buckets=BATCH_BUCKETS,
            registry=registry,
        )
        self._queue = Gauge(
            "modelmill_pictures_in_work", "Pictures taken and not yet answered", registry=registry
        )
        self._labels = Counter(
            "modelmill_predictions", "Pictures by their labels", ["label"], registry=registry
        )
        self._declined = Counter(
            "modelmill_declined", "Pictures that look like none of the classes", registry=registry
        )
        info = Gauge(
            "modelmill_model", "The model served", ["deployment", "version"], registry=registry
        )
        info.labels(deployment, str(version)).set(1)

    def watch_queue(self, count: Callable[[], float]) -> None:
        """Ask for the queue's length whenever somebody looks."""
        self._queue.set_function(count)

    def count_label(self, label: str) -> None:
        """One picture was answered with this label: the best, or one of several."""
        self._labels.labels(label).inc()

    def count_declined(self) -> None:
        """One picture looks like none of the classes."""
        self._declined.inc()

    def observe_decode(self, seconds: float) -> None:
        self._decode.observe(seconds)

    def observe_batch(self, pictures: int, seconds: float) -> None:
        self._batch.observe(pictures)
        self._infer.observe(seconds)

    def observe_request(self, path: str, status: int, seconds: float) -> None:
        """One request; path is a route, never what a caller typed."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)


class JsonFormatter(logging.Formatter):
    """One JSON object a line; a record's `fields` stand beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        message = record.getMessage()
        if message:
            line["message"] = message
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=True, default=str)


def set_up_logging(level: int = logging.INFO) -> None:
    """All loggers to standard output, as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # It warns of every form that is no form.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
