"""The form, its Airflow and click faces, and what it says about bad values."""

from typing import get_args

import click
import pytest
from click.testing import CliRunner

from pipelines.form import FormError, add_options, describe_range, make_params, read_form
from pipelines.import_request import ImportRequest
from pipelines.request import RunRequest
from training.spec import BackboneName


def test_every_field_is_a_param_in_the_forms_order() -> None:
    params = make_params(RunRequest)
    assert list(params) == list(RunRequest.model_fields)
    assert next(iter(params)) == "dataset"


def test_help_holds_the_range_that_the_server_checks() -> None:
    param = make_params(RunRequest)["min_accuracy"]
    assert (param.schema["minimum"], param.schema["maximum"]) == (0, 1)
    assert "0 to 1" in param.schema["description_md"]
    assert param.schema["title"] == "Least accuracy"


def test_dropdown_has_a_label_for_each_value() -> None:
    for field in ("devices", "resize"):
        schema = make_params(RunRequest)[field].schema
        assert set(schema["values_display"]) == set(schema["enum"])


def test_main_fields_stand_outside_the_accordion() -> None:
    params = make_params(RunRequest)
    assert "section" not in params["dataset"].schema
    assert "section" in params["seed"].schema


def test_presets_values_become_defaults() -> None:
    params = make_params(RunRequest, {"dataset": "herbs"})
    assert params["dataset"].resolve() == "herbs"
    assert params["min_accuracy"].resolve() == 0.8


def test_params_refuse_what_the_form_refuses() -> None:
    param = make_params(RunRequest)["budget_minutes"]
    with pytest.raises(Exception, match="minimum"):
        param.resolve(0)


def test_emptied_text_means_the_default() -> None:
    assert read_form(RunRequest, {"dataset": "herbs", "deployment": None}).served_as == "herbs"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"dataset": "Herbs"}, ["dataset", "'Herbs'", "lower-case"]),
        ({"dataset": "herbs", "min_accuracy": 1.5}, ["min_accuracy", "1.5", "0 to 1"]),
        ({"dataset": "herbs", "budget_minutes": 0}, ["budget_minutes", "0", "more than 0"]),
        ({"dataset": "herbs", "budget_minutes": float("nan")}, ["budget_minutes", "more than 0"]),
        ({"dataset": "herbs", "max_latency_ms": -1}, ["max_latency_ms", "-1", "0 to 60,000"]),
        ({"dataset": "herbs", "max_model_mb": "big"}, ["max_model_mb", "'big'", "0 to 10,000"]),
        (
            {"dataset": "herbs", "backbones": ["Res Net"]},
            ["'Res Net'", "auto, or", "backbones lists"],
        ),
        ({"dataset": "herbs", "backbones": []}, ["backbones was []", "auto, or one or more"]),
        ({"dataset": "herbs", "backbones": ""}, ["backbones was ''", "auto, or one or more"]),
        ({"dataset": "herbs", "devices": "tpu"}, ["devices", "'tpu'", "auto, cpu or gpu"]),
        ({"dataset": "herbs", "resize": "pad"}, ["'pad'", "auto, crop, squash or letterbox"]),
        ({"dataset": "herbs", "max_trials": "many"}, ["max_trials", "'many'", "0 to 10,000"]),
        ({"dataset": "herbs", "snapshot": "1234"}, ["snapshot", "'1234'", "20 digits"]),
        ({"dataset": "herbs", "epoch": 3}, ["epoch", "max_trials"]),
        ({}, ["dataset is missing"]),
        ({"dataset": None}, ["dataset", "None"]),
    ],
)
def test_bad_values_get_a_sentence(values: dict[str, object], words: list[str]) -> None:
    with pytest.raises(FormError) as raised:
        read_form(RunRequest, values)
    assert all(word in str(raised.value) for word in words)


def test_form_stays_short() -> None:
    assert len(RunRequest.model_fields) <= 21


def test_names_are_a_list_or_one_text() -> None:
    names = ("efficientnet-lite0", "efficientnet-lite1")
    for given in (names, list(names), ",".join(names), " , ".join(names)):
        assert read_form(RunRequest, {"dataset": "herbs", "backbones": given}).backbones == names
    for auto in ("auto", ["auto"], None):
        assert read_form(RunRequest, {"dataset": "herbs", "backbones": auto}).backbones == ("auto",)


def test_list_is_a_choice_of_tags_that_may_be_emptied() -> None:
    param = make_params(RunRequest)["backbones"]
    assert param.schema["examples"] == ["auto", *get_args(BackboneName)]
    assert param.resolve(["efficientnet-lite1"]) == ["efficientnet-lite1"]
    assert param.resolve(None) is None
    assert "**Default:** auto." in param.schema["description_md"]
    with pytest.raises(Exception, match="Res Net"):
        param.resolve(["Res Net"])


def test_bad_value_inside_a_field_is_shown_with_its_place() -> None:
    values = {"dataset": "herbs", "stages": {"assign_sides": 1}}
    with pytest.raises(FormError, match=r"stages was .*assign_sides"):
        read_form(RunRequest, values)


def test_every_constrained_field_can_be_described() -> None:
    for form in (RunRequest, ImportRequest):
        for name, schema in form.model_json_schema()["properties"].items():
            if name != "title":
                assert describe_range(schema), name


def test_flags_are_the_fields() -> None:
    seen: dict[str, object] = {}

    @click.command()
    @add_options(RunRequest)
    def train(**values: object) -> None:
        seen.update(values)

    done = CliRunner().invoke(
        train,
        [
            *("--dataset", "herbs", "--min-accuracy", "0.9", "--no-deploy", "--max-trials", "7"),
            *("--budget-minutes", "1.5", "--backbones", "efficientnet-lite0, efficientnet-lite2"),
        ],
    )
    assert done.exit_code == 0, done.output
    request = read_form(RunRequest, seen)
    assert (request.min_accuracy, request.deploy, request.max_trials) == (0.9, False, 7)
    assert request.budget_minutes == 1.5
    assert request.backbones == ("efficientnet-lite0", "efficientnet-lite2")
    assert CliRunner().invoke(train, []).exit_code == 2
