"""Open Inference Protocol v2 (KServe, Triton) over HTTP, with the binary-tensor extension.

The output `label` is one string a picture. Where a picture may show several classes it names all
that it shows, `a|b`, and is empty where it shows none: a tensor has no rows of different lengths.
"""

from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from serving.apis.answers import answer_json, describe_errors
from serving.apis.tensor_schemas import (
    InferError,
    InferRequest,
    InferResponse,
    ModelMetadata,
    ServerMetadata,
    TensorMetadata,
)
from serving.apis.tensors import (
    LENGTH_HEADER,
    Tensor,
    bad_tensor,
    cut_binaries,
    is_true,
    read_bytes,
    read_floats,
    split_request,
)
from serving.batching import Row
from serving.body import CURL, JSON, RAW, Upload, find_kind, refuse_kind
from serving.request_errors import RequestError
from serving.service import Service

PREFIX = "/v2"
MODEL = "/v2/models/{model}"
VERSION = MODEL + "/versions/{version}"
# One of the two inputs, and the outputs.
PICTURES, PIXELS = "image", "pixels"
SCORES, LABEL = "scores", "label"


def describe_tensors(service: Service) -> ModelMetadata:
    """What the model takes, one of two: encoded pictures, or the network's own input."""
    classes, size = len(service.classes), service.size
    return ModelMetadata(
        name=service.model.deployment,
        versions=(str(service.model.version),),
        platform="onnxruntime_onnx",
        inputs=(
            TensorMetadata(name=PICTURES, datatype="BYTES", shape=(-1,)),
            TensorMetadata(name=PIXELS, datatype="FP32", shape=(-1, 3, size, size)),
        ),
        outputs=(
            TensorMetadata(name=SCORES, datatype="FP32", shape=(-1, classes)),
            TensorMetadata(name=LABEL, datatype="BYTES", shape=(-1,)),
        ),
    )


def _check_model(service: Service, model: str, version: str | None) -> None:
    own = (service.model.deployment, str(service.model.version))
    if model != own[0] or version not in (None, own[1]):
        asked = model if version is None else f"{model}, version {version}"
        raise RequestError(
            404,
            "not_found",
            f"There is no model {asked[:80]!r} here: this is {own[0]}, version {own[1]}.",
        )


async def _score(
    service: Service, asked: InferRequest, behind: bytes, request_id: str
) -> list[Row]:
    parts = cut_binaries(asked, behind)
    shape = (3, service.size, service.size)
    taken = {PICTURES: "BYTES", PIXELS: "FP32"}
    if len(asked.inputs) != 1 or taken.get(asked.inputs[0].name) != asked.inputs[0].datatype:
        given = ", ".join(f"{one.name[:40]} {one.datatype[:10]}" for one in asked.inputs[:4])
        raise bad_tensor(
            f"The inputs are [{given}]: send one, either {PICTURES} BYTES [n] with encoded "
            f"pictures, or {PIXELS} FP32 [n, {', '.join(map(str, shape))}]."
        )
    one = asked.inputs[0]
    if one.name == PICTURES:
        pictures = [Upload(data) for data in read_bytes(one, parts[0])]
        if not pictures:
            raise RequestError(400, "empty", f"{PICTURES} holds no picture.")
        return await service.score_pictures(pictures, request_id)
    if len(one.shape) != 4 or one.shape[0] < 1 or one.shape[1:] != shape:
        raise bad_tensor(
            f"{PIXELS} has shape {list(one.shape[:6])}: send [n, {', '.join(map(str, shape))}]."
        )
    return await service.score_rows(read_floats(one, parts[0]))


def _make_tensors(service: Service, scores: list[Row]) -> dict[str, Tensor]:
    stacked = np.stack(scores)
    labels = [service.name_answer(row) for row in scores]
    return {
        SCORES: Tensor(SCORES, stacked, stacked.shape),
        LABEL: Tensor(LABEL, labels, (len(labels),)),
    }


def _classify(service: Service, scores: list[Row], name: str, top: Any) -> Tensor:
    """Triton's classification extension: "score:index:label", best first."""
    if not isinstance(top, int) or isinstance(top, bool) or top < 1 or name != SCORES:
        raise bad_tensor(f"{name[:40]}: classification is a whole number from 1, of {SCORES}.")
    top = min(top, len(service.classes))
    values = [
        f"{row[index]:f}:{index}:{service.classes[index]}"
        for row in scores
        for index in np.argsort(-row, kind="stable")[:top]
    ]
    return Tensor(name, values, (len(scores), top))


def answer_tensors(service: Service, asked: InferRequest, scores: list[Row]) -> Response:
    """The wanted outputs, each in JSON or as bytes behind it; raises RequestError."""
    made = _make_tensors(service, scores)
    all_binary = is_true(asked.parameters.get("binary_data_output"))
    wanted = [(one.name, one.parameters) for one in asked.outputs] or [(name, {}) for name in made]
    outputs, behind = [], b""
    for name, parameters in wanted:
        if name not in made:
            raise bad_tensor(f"There is no output {name[:40]!r}: allowed are {', '.join(made)}.")
        top = parameters.get("classification")
        tensor = made[name] if top is None else _classify(service, scores, name, top)
        binary = parameters.get("binary_data")
        if all_binary if binary is None else is_true(binary):
            output, content = tensor.write_binary()
            behind += content
        else:
            output = tensor.write_json()
        outputs.append(output)
    response = InferResponse(
        id=asked.id,
        model_name=service.model.deployment,
        model_version=str(service.model.version),
        outputs=tuple(outputs),
    )
    if not any(output.parameters for output in outputs):
        return answer_json(response, exclude_none=True)
    header = response.model_dump_json(exclude_none=True).encode()
    return Response(header + behind, media_type=RAW, headers={LENGTH_HEADER: str(len(header))})


async def _infer(service: Service, request: Request, model: str, version: str | None) -> Response:
    _check_model(service, model, version)
    kind = find_kind(request)
    # tritonclient names no Content-Type for its binary bodies.
    if kind not in (JSON, RAW, CURL):
        raise refuse_kind(kind, f"{JSON}, or {RAW} with {LENGTH_HEADER}")
    async with service.intake.open(request) as body:
        asked, behind = split_request(await body.read(), request.headers.get(LENGTH_HEADER))
        scores = await _score(service, asked, behind, request.state.request_id)
    return answer_tensors(service, asked, scores)


def _describe_body() -> dict[str, Any]:
    tensor = {"name": PICTURES, "shape": [1], "datatype": "BYTES", "data": ["iVBORw0KGgo…"]}
    content = {
        JSON: {"schema": InferRequest.model_json_schema(), "example": {"inputs": [tensor]}},
        RAW: {"schema": {"type": "string", "format": "binary"}},
    }
    header = {
        "name": LENGTH_HEADER,
        "in": "header",
        "required": False,
        "description": "Bytes of the JSON, where tensors stand behind it",
        "schema": {"type": "integer", "minimum": 0},
    }
    return {"requestBody": {"required": True, "content": content}, "parameters": [header]}


def make_router(service: Service) -> APIRouter:
    """The routes of this API."""
    router = APIRouter(tags=["Open Inference Protocol"])
    infer_options: dict[str, Any] = {
        "response_model": InferResponse,
        "responses": describe_errors(InferError, 404),
        "openapi_extra": _describe_body(),
    }
    missing: dict[str, Any] = {"responses": describe_errors(InferError, 404)}
    # The status is the answer.
    unready: dict[int | str, dict[str, Any]] = {503: {"description": "It takes nothing new"}}
    bare: dict[str, Any] = {"response_class": Response, "responses": unready}
    bare_or_missing: dict[str, Any] = {
        "response_class": Response,
        "responses": {**describe_errors(InferError, 404), **unready},
    }

    @router.get(PREFIX, summary="The server")
    async def describe_server() -> ServerMetadata:
        extensions = ("binary_tensor_data", "classification")
        return ServerMetadata(name="modelmill", version="2", extensions=extensions)

    @router.get(PREFIX + "/health/live", summary="The process runs", response_class=Response)
    async def check_live() -> Response:
        return Response()

    @router.get(PREFIX + "/health/ready", summary="Ready to answer", **bare)
    async def check_ready() -> Response:
        return Response(status_code=503 if service.draining else 200)

    @router.get(MODEL, summary="The model's tensors", **missing)
    async def describe(model: str) -> ModelMetadata:
        _check_model(service, model, None)
        return describe_tensors(service)

    @router.get(VERSION, summary="The same, of a version", **missing)
    async def describe_version(model: str, version: str) -> ModelMetadata:
        _check_model(service, model, version)
        return describe_tensors(service)

    @router.get(MODEL + "/ready", summary="Ready to answer", **bare_or_missing)
    async def check_model(model: str) -> Response:
        _check_model(service, model, None)
        return Response(status_code=503 if service.draining else 200)

    @router.get(VERSION + "/ready", summary="The same, of a version", **bare_or_missing)
    async def check_version(model: str, version: str) -> Response:
        _check_model(service, model, version)
        return Response(status_code=503 if service.draining else 200)

    @router.post(MODEL + "/infer", summary="Infer", **infer_options)
    async def infer(model: str, request: Request) -> Response:
        return await _infer(service, request, model, None)

    @router.post(VERSION + "/infer", summary="Infer with a version", **infer_options)
    async def infer_version(model: str, version: str, request: Request) -> Response:
        return await _infer(service, request, model, version)

    return router
