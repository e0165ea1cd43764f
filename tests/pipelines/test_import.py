"""What an import may be asked for, and where the address of a user's MongoDB goes and does not."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pipelines.artifacts import Artifacts
from pipelines.command_line.data import bind_import, import_
from pipelines.connections import MongoConnection, read_mongo_variable
from pipelines.context import make_installation
from pipelines.form import FormError, make_params, read_form
from pipelines.import_request import ImportRequest
from pipelines.plan import import_collection_spec, import_spec
from pipelines.planning import resolve_import
from pipelines.settings import Settings
from serving.job.errors import UserError
from spark_jobs.spec import SOURCE_MONGO_VARIABLE, LabelFields

ARTIFACTS = Artifacts(hdfs="hdfs://127.0.0.1:8020", scratch="file:///tmp/scratch")
URI = "mongodb://me:s3cr/et@db.example:27017/?tls=true"
COLLECTION = {
    "dataset": "boards",
    "mongo_connection": "shop",
    "mongo_database": "shop",
    "mongo_collection": "photos",
}


@pytest.mark.parametrize("source", ["/a b/é\n", "hdfs://h:1/a@b", "file:///a", "hdfs:///x"])
def test_a_source_is_enough(source: str) -> None:
    assert read_form(ImportRequest, {"dataset": "boards", "source": source}).source == source


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "What to import is missing: give source, a folder or a table; or mongo_connection"),
        ({**COLLECTION, "source": "/a"}, "both given"),
        ({**COLLECTION, "mongo_collection": ""}, "needs mongo_collection, too"),
        ({"mongo_database": "shop"}, "needs mongo_connection and mongo_collection, too"),
        ({"source": "photos"}, "an absolute path, or hdfs://HOST:PORT/PATH"),
        ({**COLLECTION, "mongo_database": "a.b"}, "a database's name"),
        ({**COLLECTION, "mongo_filter": "{"}, "a JSON object"),
    ],
)
def test_anything_else_gets_a_sentence(values: dict[str, object], words: str) -> None:
    with pytest.raises(FormError) as raised:
        read_form(ImportRequest, {"dataset": "boards", **values})
    assert words in str(raised.value)


def test_no_password_hides_in_the_address_of_hdfs() -> None:
    with pytest.raises(FormError) as raised:
        read_form(ImportRequest, {"dataset": "boards", "source": URI.replace("mongodb", "hdfs")})
    assert "s3cr" not in str(raised.value)


@pytest.mark.parametrize("field", ["source", "mongo_connection", "mongo_database"])
def test_an_address_with_a_password_is_refused_and_not_repeated(field: str) -> None:
    with pytest.raises(FormError) as raised:
        read_form(ImportRequest, {**COLLECTION, field: URI})
    assert "s3cr" not in str(raised.value)
    assert "mongodb://***@db.example" in str(raised.value)
    param = make_params(ImportRequest)[field]
    with pytest.raises(Exception, match="does not match"):
        param.resolve(URI)


def test_the_command_line_says_why_an_address_is_refused() -> None:
    flags = ["--dataset", "boards", "--mongo-connection", URI, "--mongo-database", "shop"]
    done = CliRunner().invoke(import_, [*flags, "--mongo-collection", "photos"])
    assert done.exit_code == 2
    assert "s3cr" not in done.output
    told = " ".join(done.output.split())
    assert "--mongo-connection was" in told
    assert "it may hold a password" in told


def test_folders_and_tables_are_resolved_below_the_roots(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("")
    assert resolve_import(str(tmp_path), (tmp_path,)) == tmp_path.as_uri()
    table = str(tmp_path / "labels.csv")
    assert resolve_import(table, (tmp_path,)) == (tmp_path / "labels.csv").as_uri()
    with pytest.raises(UserError, match="reads only below"):
        resolve_import("/etc/passwd", (tmp_path,))
    with pytest.raises(UserError, match="no such folder or file"):
        resolve_import(str(tmp_path / "x"), (tmp_path,))
    # In a file's name these are signs like others.
    odd = tmp_path / "a#1?b 50%"
    odd.mkdir()
    typed = f"file://{tmp_path}/a#1?b 50%25"
    assert resolve_import(typed, (tmp_path,)) == resolve_import(str(odd), (tmp_path,))
    with pytest.raises(UserError) as raised:
        resolve_import("hdfs://me:s3cret@h:1/x", (tmp_path,))
    assert "s3cret" not in str(raised.value)


def test_specs_hold_the_fields_and_no_address() -> None:
    names = {"picture_field": "img", "label_field": "kind", "group_field": "camera"}
    names |= {"labels": "several"}
    request = read_form(ImportRequest, {**COLLECTION, **names, "mongo_filter": {"year": 2026}})
    spec = import_collection_spec(request, ARTIFACTS, actor="me", output_uri="hdfs:///o")
    assert spec.fields == LabelFields(picture="img", label="kind", group="camera")
    assert (spec.database, spec.collection, spec.filter) == ("shop", "photos", {"year": 2026})
    assert "mongodb:" not in spec.model_dump_json()
    table = read_form(ImportRequest, {"dataset": "boards", "source": "/a", **names})
    bound = import_spec(
        table, ARTIFACTS, source_uri="file:///a", actor="me", output_uri="hdfs:///o"
    )
    assert bound.fields == spec.fields
    assert bound.labels == spec.labels == "several"


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ({"host": "h"}, "mongodb://h/"),
        (
            {"host": "h", "port": 27018, "login": "a@b", "password": "p/:@"},
            "mongodb://a%40b:p%2F%3A%40@h:27018/",
        ),
        (
            {"host": "h", "port": 1, "database": "d", "options": {"srv": True, "tls": True}},
            "mongodb+srv://h/d?tls=true",
        ),
        (
            {"host": "a:1,b:2", "port": 3, "options": {"replicaSet": "r s"}},
            "mongodb://a:1,b:2/?replicaSet=r+s",
        ),
    ],
)
def test_addresses_are_composed(given: dict[str, Any], uri: str) -> None:
    connection = MongoConnection(**given)
    assert connection.compose_uri() == uri
    assert str(given.get("password", "p/:@")) not in repr(connection)


def test_addresses_from_the_environment() -> None:
    assert read_mongo_variable("env:SHOP", {"SHOP": URI}) == URI
    with pytest.raises(UserError, match="SHOP is not set"):
        read_mongo_variable("env:SHOP", {})
    with pytest.raises(UserError, match="SHOP does not hold") as raised:
        read_mongo_variable("env:SHOP", {"SHOP": "http://me:s3cret@h"})
    assert "s3cret" not in str(raised.value)


def test_the_command_line_passes_the_address_by_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", URI)
    installation = make_installation(Settings(home=tmp_path))
    request = read_form(ImportRequest, {**COLLECTION, "mongo_connection": "env:SHOP"})
    spec, command, environment = bind_import(request, installation, "hdfs:///o")
    assert environment == {SOURCE_MONGO_VARIABLE: URI}
    assert command.argv[0].endswith("spark-submit")
    assert "s3cr" not in " ".join(command.argv) + str(command.environment) + str(spec)
    folder = read_form(ImportRequest, {"dataset": "boards", "source": str(tmp_path)})
    _, command, environment = bind_import(folder, installation, "hdfs:///o")
    assert command.argv[1:3] == ("-m", "spark_jobs.main")
    assert environment == {"MODELMILL_IMPORT_ROOTS": "/"}


def test_the_operator_passes_the_address_by_environment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow.sdk import BaseHook, Connection

    from pipelines.tasks import jobs

    connection = Connection(
        conn_id="shop", conn_type="mongo", host="db", port=27017, login="me", password="s3cr/et"
    )
    monkeypatch.setattr(BaseHook, "get_connection", lambda _: connection)
    operator = jobs.ImportOperator(task_id="import")
    context: Any = {
        "params": COLLECTION,
        "dag_run": SimpleNamespace(triggering_user_name="expert"),
    }
    installation: Any = SimpleNamespace(artifacts=ARTIFACTS)
    assert operator.secrets(context) == {SOURCE_MONGO_VARIABLE: "mongodb://me:s3cr%2Fet@db:27017/"}
    assert "s3cr" not in operator.bind(context, installation, "hdfs:///o").model_dump_json()
    with pytest.raises(UserError, match="env:VARIABLE is for"):
        context["params"] = {**COLLECTION, "mongo_connection": "env:HOME"}
        operator.secrets(context)
