"""ImportRequest: the form of an import, and the only definition of what a person chooses there."""

from typing import Self

from pydantic import (
    Field,
    JsonValue,
    model_validator,
)

from pipelines.form_base import Form, Name
from spark_jobs.spec import LabelsPerSample

IMPORT_DAG = "modelmill_import"

_COLUMNS = "Names of columns and fields"
_MONGO = "From a MongoDB collection"
_FIELD_RULE: dict[str, JsonValue] = {
    "rule": "empty, or a name as it stands there",
    "section": _COLUMNS,
}


class ImportRequest(Form):
    """What a person chooses for one import: a folder, a table of labels, or a collection."""

    dataset: Name = Field(
        title="Dataset",
        description="Name of the dataset; new pictures are added where it exists already.",
    )
    source: str = Field(
        default="",
        # No user:password@: what stands in a form is stored and shown.
        pattern=r"^(/[\s\S]*|file:///[\s\S]*|hdfs://[^@/:]*(:[0-9]+)?(/[\s\S]*)?)?$",
        title="Folder or table",
        description=(
            "Folder with one sub-folder per class, with train/, val/ and test/ above them or "
            "without; or a table of labels (CSV, JSON lines) or the folder that holds it beside "
            "its pictures. A path below MODELMILL_IMPORT_ROOTS, or hdfs://HOST:PORT/PATH. Empty "
            "where the pictures come from MongoDB."
        ),
        json_schema_extra={"rule": "an absolute path, or hdfs://HOST:PORT/PATH without a password"},
    )
    title: str = Field(
        default="",
        max_length=200,
        title="Title",
        description="Free text shown beside the name.",
    )
    picture_field: str = Field(
        default="",
        title="Picture",
        description=(
            "Column with the picture's path, or field with its bytes, GridFS id or path. Empty: "
            "the one called file, path, image or filename."
        ),
        json_schema_extra=_FIELD_RULE,
    )
    label_field: str = Field(
        default="",
        title="Label",
        description="Column or field with the label. Empty: label, class or category.",
        json_schema_extra=_FIELD_RULE,
    )
    split_field: str = Field(
        default="",
        title="Split",
        description="Column or field with train, val or test. Empty: split, side or set, if any.",
        json_schema_extra=_FIELD_RULE,
    )
    group_field: str = Field(
        default="",
        title="Group",
        description=(
            "Column or field that tells pictures of one object or one camera: they stay on one "
            "side. Empty: group, if there is one."
        ),
        json_schema_extra=_FIELD_RULE,
    )
    labels: LabelsPerSample = Field(
        default="one",
        title="Labels a picture",
        description=(
            "several: a picture may have more than one label; in a CSV they stand in one cell, "
            "a|b. Lists in JSON lines and in a collection are recognised by themselves. The "
            "dataset's first import decides."
        ),
        json_schema_extra={
            "values_display": {"one": "One", "several": "Several"},
            "section": _COLUMNS,
        },
    )
    mongo_connection: str = Field(
        default="",
        pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z0-9_.-]*)$",
        title="Connection",
        description="Id of the Airflow connection to your MongoDB.",
        json_schema_extra={
            "section": _MONGO,
            "rule": (
                "the id of an Airflow connection, or on the command line env:VARIABLE; never an "
                "address, for it may hold a password, and what stands in a form is stored and shown"
            ),
        },
    )
    mongo_database: str = Field(
        default="",
        pattern=r"""^[^/\\. "$:]*$""",
        title="Database",
        description="Name of the database.",
        json_schema_extra={"section": _MONGO, "rule": "a database's name"},
    )
    mongo_collection: str = Field(
        default="",
        pattern=r"^[^$]*$",
        title="Collection",
        description="Name of the collection, one document per picture. It is only read.",
        json_schema_extra={"section": _MONGO, "rule": "a collection's name"},
    )
    mongo_filter: dict[str, JsonValue] = Field(
        default={},
        title="Filter",
        description="Which documents: a MongoDB query. Empty: all of them.",
        json_schema_extra={"section": _MONGO, "rule": "a JSON object"},
    )

    @model_validator(mode="after")
    def _check_one_source(self) -> Self:
        mongo = {
            "mongo_connection": self.mongo_connection,
            "mongo_database": self.mongo_database,
            "mongo_collection": self.mongo_collection,
        }
        missing = [name for name, value in mongo.items() if not value]
        if self.source and len(missing) < len(mongo):
            raise ValueError("source and a MongoDB collection are both given: import them in turn.")
        if not self.source and len(missing) == len(mongo):
            raise ValueError(
                "What to import is missing: give source, a folder or a table; or "
                f"{', '.join(mongo)}."
            )
        if not self.source and missing:
            raise ValueError(f"A MongoDB collection needs {' and '.join(missing)}, too.")
        return self
