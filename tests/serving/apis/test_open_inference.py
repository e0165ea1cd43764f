"""Open Inference Protocol: Triton's own client, and requests that it would never send."""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from serving.app import create_app
from serving.bundle.predictor import Predictor
from tests.serving.running import run_server
from tests.serving.test_app import LABELS, ask
from tests.serving.tiny import SIZE, plain, write_bundle

triton = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
INFER = "/v2/models/brightness/infer"
GREYS = (255, 0, 128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("oip") / "b", classes=LABELS)


@pytest.fixture(scope="module")
def app(folder: Path) -> FastAPI:
    return create_app(folder, "brightness", 3)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[Any]:
    with run_server(app) as port, triton.InferenceServerClient(f"127.0.0.1:{port}") as made:
        yield made


@pytest.fixture(scope="module")
def expected(folder: Path) -> np.ndarray:
    predictor = Predictor(folder)
    return predictor.score([predictor.prepare(plain(grey)) for grey in GREYS])


def pictures(*, binary: bool = True) -> Any:
    elements = [plain(grey) for grey in GREYS]
    if not binary:
        elements = [base64.b64encode(one) for one in elements]
    tensor = triton.InferInput("image", [len(GREYS)], "BYTES")
    return tensor.set_data_from_numpy(np.array(elements, dtype=object), binary_data=binary)


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("brightness")
    assert client.is_model_ready("brightness", "3")
    assert not client.is_model_ready("brightness", "4")
    assert not client.is_model_ready("other")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    model = client.get_model_metadata("brightness", "3")
    assert (model["name"], model["versions"]) == ("brightness", ["3"])
    assert {(i["name"], i["datatype"]) for i in model["inputs"]} == {
        ("image", "BYTES"),
        ("pixels", "FP32"),
    }


def check(result: Any, expected: np.ndarray) -> None:
    np.testing.assert_allclose(result.as_numpy("scores"), expected, atol=1e-6)
    wanted = [LABELS[int(best)].encode() for best in expected.argmax(axis=1)]
    found = [v if isinstance(v, bytes) else v.encode() for v in result.as_numpy("label")]
    assert found == wanted


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_pictures(
    client: Any, expected: np.ndarray, binary_in: bool, binary_out: bool | None
) -> None:
    outputs = None
    if binary_out is not None:
        outputs = [
            triton.InferRequestedOutput(name, binary_data=binary_out)
            for name in ("scores", "label")
        ]
    result = client.infer("brightness", [pictures(binary=binary_in)], outputs=outputs)
    check(result, expected)
    assert result.get_response()["model_version"] == "3"


@pytest.mark.parametrize("binary", [True, False])
def test_the_networks_own_input(
    client: Any, folder: Path, expected: np.ndarray, binary: bool
) -> None:
    predictor = Predictor(folder)
    rows = predictor.prepare_rows([predictor.prepare(plain(grey)) for grey in GREYS])
    tensor = triton.InferInput("pixels", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, binary_data=binary)
    result = client.infer("brightness", [tensor], model_version="3", request_id="mine")
    check(result, expected)
    assert result.get_response()["id"] == "mine"


def test_classification(client: Any) -> None:
    output = triton.InferRequestedOutput("scores", class_count=1)
    result = client.infer("brightness", [pictures()], outputs=[output])
    first = result.as_numpy("scores")[0, 0].decode()
    score, index, label = first.split(":")
    assert (float(score) > 0.5, index, label) == (True, "0", LABELS[0])


def test_the_client_is_told_why(client: Any) -> None:
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([b"%PDF"], dtype=object))
    with pytest.raises(triton.InferenceServerException, match="not an image"):
        client.infer("brightness", [tensor])
    with pytest.raises(triton.InferenceServerException, match="There is no model 'other'"):
        client.infer("other", [tensor])


def refuse(app: FastAPI, content: Any, headers: dict[str, str] | None = None) -> str:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer: httpx.Response = ask(app, "POST", INFER, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


def make_tensor(**changes: Any) -> dict[str, Any]:
    whole = {"name": "image", "shape": [1], "datatype": "BYTES", "data": ["AAAA"], **changes}
    return {"inputs": [whole]}


PIXELS = {"name": "pixels", "datatype": "FP32", "shape": [1, 3, SIZE, SIZE]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no body"),
        (b"nonsense", "Send {"),
        ({"inputs": []}, "send one"),
        (make_tensor(name="other"), "other BYTES"),
        (make_tensor(datatype="FP32"), "image FP32"),
        (make_tensor(data=["!"]), "not base64"),
        (make_tensor(data=[7]), "not base64"),
        (make_tensor(data=None), "does not fit 0"),
        (make_tensor(shape=[2]), "does not fit 1"),
        (make_tensor(shape=[-1]), "shape"),
        (make_tensor(shape=[1] * 9), "shape"),
        (make_tensor(shape=[0], data=[]), "no picture"),
        (make_tensor(shape=[2**31] * 8), "does not fit"),
        (make_tensor(parameters={"binary_data_size": "x"}), "binary_data_size"),
        (make_tensor(parameters={"binary_data_size": -1}), "binary_data_size"),
        (make_tensor(parameters={"binary_data_size": 5}), "0 bytes are left"),
        (make_tensor(**PIXELS, data=["x"]), "must be numbers"),
        (make_tensor(**PIXELS, data=[0.5]), "does not fit 1"),
        (make_tensor(**PIXELS, data=[1e300] * 3 * SIZE * SIZE), "not finite"),
        (make_tensor(**PIXELS, data=[10**400] * 3 * SIZE * SIZE), ""),
        (make_tensor(**{**PIXELS, "shape": [1, 3, 2, 2]}, data=[0.0] * 12), "send [n, 3"),
        (make_tensor(**{**PIXELS, "shape": []}, data=[0.0]), "send [n, 3"),
        (make_tensor(data=[[[[["AAAA"]]]]]), "not an image"),
        ({**make_tensor(), "inputs": make_tensor()["inputs"] * 2}, "send one"),
    ],
)
def test_bad_requests(app: FastAPI, content: Any, said: str) -> None:
    assert said in refuse(app, content)


def test_bad_outputs(app: FastAPI) -> None:
    good = make_tensor(data=[base64.b64encode(plain(1)).decode()])
    assert "allowed are scores" in refuse(app, {**good, "outputs": [{"name": "x"}]})
    for top in (0, True, "1"):
        output = {"name": "scores", "parameters": {"classification": top}}
        assert "whole number" in refuse(app, {**good, "outputs": [output]})


def test_bad_bytes_behind_the_json(app: FastAPI) -> None:
    length = "Inference-Header-Content-Length"

    def send(behind: bytes, size: int, header: int | str | None = None) -> str:
        head = json.dumps(
            {"inputs": [make_tensor(parameters={"binary_data_size": size})["inputs"][0]]}
        ).encode()
        value = len(head) if header is None else header
        return refuse(app, head + behind, {length: str(value)})

    assert "the body has" in send(b"", 0, 10**6)
    assert "the body has" in send(b"", 0, "-1")
    assert "belong to no input" in send(b"xx", 1)
    assert "no length" in send(b"xx", 2)
    assert "ends behind" in send(struct.pack("<I", 2**31), 4)
    assert "empty file" in send(struct.pack("<I", 0), 4)
