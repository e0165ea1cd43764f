"""What every form is made of: names, and the base of its fields."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from serving.job.spec import NAME_PATTERN

NAME_RULE = "a lower-case letter, then up to 39 lower-case letters, digits or hyphens"
Name = Annotated[
    str, StringConstraints(pattern=NAME_PATTERN), Field(json_schema_extra={"rule": NAME_RULE})
]
NameOrEmpty = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z][a-z0-9-]{0,39})?$"),
    Field(json_schema_extra={"rule": f"empty, or {NAME_RULE}"}),
]


class Form(BaseModel):
    """Base of what a person fills in: flat and frozen, its fields in the order of the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")
