"""The README's table of a model server's settings is made from the code that reads them."""

import re
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from serving.environment import REPO
from serving.keeping import VARIABLES, Keeping
from serving.limits import PREFIX, Limits

MARKS = re.compile(r"<!-- server settings: [^>]*-->\n(.*)<!-- /server settings -->", re.DOTALL)


def list_settings() -> Iterator[tuple[str, str, str]]:
    """Variable, default, description."""
    for name, field in Limits.model_fields.items():
        yield f"{PREFIX}{name.upper()}", show_default(Limits, name), describe(field)
    for name, variable in VARIABLES.items():
        yield variable, show_default(Keeping, name), describe(Keeping.model_fields[name])


def show_default(model: type[BaseModel], name: str) -> str:
    field = model.model_fields[name]
    return "" if field.is_required() else f"`{field.default}`"


def describe(field: FieldInfo) -> str:
    assert field.description, field
    return field.description


def test_table_of_the_servers_settings_is_derived() -> None:
    rows = [f"| `{name}` | {default} | {said} |" for name, default, said in list_settings()]
    wanted = "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows, ""])
    found = MARKS.search((REPO / "README.md").read_text())
    assert found
    assert found[1] == wanted, f"put this between the marks:\n{wanted}"
