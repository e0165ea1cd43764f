"""The OpenAPI description tells the truth: schemathesis sends what it allows, and what not."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from serving.app import create_app
from tests.serving.running import run_server
from tests.serving.tiny import write_bundle, write_several_bundle

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
EXAMPLES = 30
# A body of random bytes is allowed by the description and no picture: positive data may be refused.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)


@pytest.fixture(scope="module", params=["one", "several"])
def operations(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Any]]:
    """Its parameter: how many labels a picture has."""
    folder = tmp_path_factory.mktemp("api") / "b"
    if request.param == "one":
        write_bundle(folder)
    else:
        write_several_bundle(folder, (0.3, 0.7))
    app = create_app(folder, "brightness", 3)
    with run_server(app) as port:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
        yield [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_answers_are_as_described(operations: list[Any], mode: str) -> None:
    from schemathesis.checks import CHECKS as KNOWN
    from schemathesis.generation import GenerationMode

    checks = KNOWN.get_by_names(CHECKS)
    assert len(operations) >= 12
    asked = set()

    for operation in operations:
        strategy = operation.as_strategy(generation_mode=GenerationMode(mode))

        @given(case=strategy)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            response = case.call()
            case.validate_response(response, checks=checks)
            asked.add((case.method, case.path, response.status_code))

        # What has neither fields nor a body cannot be asked wrongly.
        with suppress(Unsatisfiable):
            ask()
    posts = {one.path for one in operations if one.method == "post"}
    assert {path for method, path, _ in asked if method == "POST"} == posts


def test_examples_are_there(operations: list[Any]) -> None:
    posts = [one for one in operations if one.method == "post"]
    assert len(posts) == 6
    for one in posts:
        contents = one.definition.raw["requestBody"]["content"]["application/json"]
        assert "example" in contents or "examples" in contents
