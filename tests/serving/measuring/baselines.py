"""What the server is measured against: a bare loop, and a plain Flask server with one lock."""

import argparse
import json
import threading
import time
from pathlib import Path

from serving.bundle import codec
from serving.bundle.predictor import Predictor, import_onnxruntime, read_manifest


def time_loop(bundle: Path, picture: bytes, seconds: float) -> dict[str, float]:
    """Decode and infer in a loop, one thread: answers a second, and the median in ms."""
    predictor = Predictor(bundle, threads=1)
    predictor.score([predictor.prepare(picture)])
    taken = []
    begin, cpu = time.perf_counter(), time.process_time()
    while (start := time.perf_counter()) < begin + seconds:
        predictor.score([predictor.prepare(picture)])
        taken.append(time.perf_counter() - start)
    elapsed = time.perf_counter() - begin
    cpu = time.process_time() - cpu
    return {
        "throughput": len(taken) / elapsed,
        "p50_ms": 1000 * sorted(taken)[len(taken) // 2],
        "cpu_ms": 1000 * cpu / len(taken),
    }


def serve_flask(bundle: Path, port: int) -> None:
    """Flask's own threaded server, onnxruntime as it comes, one lock around the prediction."""
    import flask

    ort = import_onnxruntime()
    manifest = read_manifest(bundle)
    session = ort.InferenceSession(
        (bundle / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    lock, name = threading.Lock(), session.get_inputs()[0].name
    app = flask.Flask("baseline")

    @app.post("/v1/predict")
    def predict() -> flask.Response:
        data = flask.request.get_data()
        with lock:
            row = codec.to_batch(
                [codec.prepare(data, manifest.preprocessing)], manifest.preprocessing
            )
            scores = session.run(None, {name: row})[0][0]
        ranked = codec.rank_labels(scores, manifest.classes, 5)
        return flask.jsonify({"results": [{"label": k, "score": v} for k, v in ranked]})

    import logging

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    from werkzeug.serving import WSGIRequestHandler

    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    app.run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--flask", type=int, help="serve on this port instead")
    given = parser.parse_args()
    if given.flask:
        serve_flask(given.bundle, given.flask)
    else:
        print(json.dumps(time_loop(given.bundle, given.picture.read_bytes(), given.seconds)))
