"""A form's fields → Airflow Params, click options, and sentences about values that do not fit."""

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from pipelines.form_base import Form

if TYPE_CHECKING:
    from airflow.sdk import Param

FormT = TypeVar("FormT", bound=Form)


class JsonType(click.ParamType[Any]):
    """A JSON value on the command line."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse; the default comes as it is."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as error:
            self.fail(f"{value!r} is not JSON: {error}", param, ctx)


class NamesType(click.ParamType[Any]):
    """Names with commas between them."""

    name = "names"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002 - click passes it
        ctx: click.Context | None,  # noqa: ARG002 - click passes it
    ) -> Any:
        """Split; the default comes as it is."""
        if not isinstance(value, str):
            return value
        return [name.strip() for name in value.split(",")]


_PARAM_KEYS = (
    *("type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "title"),
    *("items", "minItems", "examples"),
)
_CLICK_TYPES: dict[str, click.ParamType[Any]] = {
    "integer": click.INT,
    "number": click.FLOAT,
    "string": click.STRING,
    "object": JsonType(),
    "array": NamesType(),
}


class FormError(ValueError):
    """Values that do not make a form; one sentence per field."""


def field_schemas(form: type[Form]) -> dict[str, dict[str, Any]]:
    """JSON Schema of each field, in the form's order."""
    schemas: dict[str, dict[str, Any]] = form.model_json_schema()["properties"]
    return schemas


def describe_range(schema: Mapping[str, Any]) -> str:
    """What a field allows, in words; empty where anything of its type is allowed."""
    words = ""
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if "rule" in schema:
        words = str(schema["rule"])
    elif "enum" in schema:
        words = " or ".join(", ".join(map(str, schema["enum"])).rsplit(", ", 1))
    elif above is not None and high is not None:
        words = f"more than {above:,} and at most {high:,}"
    elif low is not None and high is not None:
        words = f"{low:,} to {high:,}"
    elif schema.get("type") == "boolean":
        words = "true or false"
    elif "maxLength" in schema:
        words = f"up to {schema['maxLength']} characters"
    return words


def _help(schema: Mapping[str, Any], default: object, *, markdown: bool) -> str:
    parts = [str(schema["description"])]
    limits = describe_range(schema)
    bold = "**" if markdown else ""
    if limits and schema.get("type") != "boolean":
        parts.append(f"{bold}Allowed:{bold} {limits}.")
    if markdown and default not in ("", None):
        shown = json.dumps(default) if isinstance(default, bool | dict) else _join(default)
        parts.append(f"{bold}Default:{bold} {shown}.")
    return " ".join(parts)


def _join(value: object) -> object:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def make_params(form: type[Form], values: Mapping[str, object] | None = None) -> "dict[str, Param]":
    """Airflow's trigger form: one Param per field; `values` replace the defaults."""
    from airflow.sdk import Param

    params: dict[str, Param] = {}
    for name, schema in field_schemas(form).items():
        rules = {key: schema[key] for key in _PARAM_KEYS if key in schema}
        if "exclusiveMinimum" in schema:
            rules["exclusiveMinimum"] = schema["exclusiveMinimum"]
        rules |= {key: schema[key] for key in ("values_display", "section") if key in schema}
        if schema.get("default") == "" or schema["type"] == "array":
            # Airflow's form sends null for a text field or a list that was emptied.
            rules["type"] = [schema["type"], "null"]
        chosen = {"default": schema["default"]} if "default" in schema else {}
        if values and name in values:
            chosen = {"default": values[name]}
        rules["description_md"] = _help(schema, chosen.get("default"), markdown=True)
        params[name] = Param(**chosen, **rules)
    return params


def add_options(
    form: type[Form], without: frozenset[str] = frozenset()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: one click option per field, --like-this; a field without a default is required.

    without: fields that the command takes in another way.

    The range is checked by the form itself, so that a person reads the same sentence everywhere.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, schema in reversed(list(field_schemas(form).items())):
            if name in without:
                continue
            flag = name_flag(name)
            if schema["type"] == "boolean":
                flag = f"{flag}/--no-{flag[2:]}"
            # click takes an explicit default=None for a value: a required option has no such key.
            default = {"default": schema["default"]} if "default" in schema else {"required": True}
            option = click.option(
                flag,
                name,
                type=None if schema["type"] == "boolean" else _click_type(schema),
                show_default=_show_default(schema.get("default")),
                help=_help(schema, schema.get("default"), markdown=False),
                **default,
            )
            function = option(function)
        return function

    return decorate


def _show_default(default: object) -> bool | str:
    if isinstance(default, list):
        return str(_join(default))
    return json.dumps(default) if isinstance(default, dict) else default != ""


def _click_type(schema: Mapping[str, Any]) -> click.ParamType[Any]:
    if "enum" in schema:
        return click.Choice(schema["enum"])
    return _CLICK_TYPES[str(schema["type"])]


def name_flag(field: str) -> str:
    """A field's name on the command line."""
    return "--" + field.replace("_", "-")


def read_form(
    form: type[FormT],
    values: Mapping[str, object],
    name_field: Callable[[str], str] = str,
) -> FormT:
    """Validate; an emptied text field means its default. Raises FormError.

    name_field: how a field is called where the person filled it in.
    """
    schemas = field_schemas(form)
    given = {
        name: value
        for name, value in values.items()
        if value is not None or "default" not in schemas.get(name, {"default": ""})
    }
    try:
        return form.model_validate(given)
    except ValidationError as error:
        raise FormError(explain_error(form, error, given, name_field)) from None


def explain_error(
    form: type[Form],
    error: ValidationError,
    given: Mapping[str, object],
    name_field: Callable[[str], str] = str,
) -> str:
    """One sentence per field: its name, what was given, what is allowed."""
    details = error.errors(include_url=False)
    # Several things may be wrong inside one field.
    sentences = (_explain_one(form, detail, given, name_field) for detail in details)
    return " ".join(dict.fromkeys(sentences))


def _explain_one(
    form: type[Form],
    detail: ErrorDetails,
    given: Mapping[str, object],
    name_field: Callable[[str], str],
) -> str:
    schemas = field_schemas(form)
    field = str(detail["loc"][0]) if detail["loc"] else ""
    name = name_field(field) if field else "The form"
    if detail["type"] == "extra_forbidden":
        return f"{name} is not a field of this form; its fields are {', '.join(schemas)}."
    if not field:
        return str(detail.get("ctx", {}).get("error", detail["msg"]))
    schema = schemas.get(field, {})
    if detail["type"] == "missing":
        return f"{name} is missing: {schema['description']}"
    limits = describe_range(schema) or detail["msg"]
    return f"{name} was {_mask(given.get(field, detail['input']))!r}, but allowed is: {limits}."


def _mask(value: object) -> object:
    """Sentences end in logs: a password that was typed into an address must not."""
    return re.sub(r"://.*@", "://***@", value, flags=re.DOTALL) if isinstance(value, str) else value
