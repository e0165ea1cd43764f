"""MODELMILL_* variables."""

from pathlib import Path

import pytest

from pipelines.settings import PREFIX, Settings, SettingsError, default_home, read_settings


def test_nothing_set_is_one_machine_behind_its_loopback() -> None:
    settings = read_settings({"XDG_DATA_HOME": "/data"})
    assert settings.home == Path("/data/modelmill")
    assert settings.mongo_address == "mongodb://127.0.0.1:27017"
    assert settings.hdfs_address == "hdfs://127.0.0.1:8020"
    assert settings.webhdfs_address == "http://127.0.0.1:9870"
    assert settings.mlflow_address == "http://127.0.0.1:5000"
    assert settings.airflow_address == "http://127.0.0.1:8080"
    assert settings.console_address == "http://127.0.0.1:8090"
    assert settings.spark_master == "local[*]"


def test_ports_are_all_different() -> None:
    ports = [
        field.default for name, field in Settings.model_fields.items() if name.startswith("port_")
    ]
    assert len(ports) >= 10
    assert len(set(ports)) == len(ports)


def test_home_without_xdg_is_below_the_persons_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert default_home({}) == Path("/home/ada/.local/share/modelmill")
    assert read_settings({f"{PREFIX}HOME": "~/mill"}).home == Path("/home/ada/mill")


def test_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({f"{PREFIX}HOME": "mill"}).home == tmp_path / "mill"


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PORT_SERVE", "8901")
    assert read_settings().port_serve == 8901


def test_every_field_is_a_variable() -> None:
    given = {
        name: "9" if field.annotation is int else "/x" if name == "home" else "yes"
        for name, field in Settings.model_fields.items()
    }
    settings = read_settings({PREFIX + name.upper(): value for name, value in given.items()})
    assert {name: str(value) for name, value in settings.model_dump().items()} == given


def test_existing_services_replace_ours() -> None:
    settings = read_settings(
        {
            f"{PREFIX}HOME": "/x",
            f"{PREFIX}MONGO_URI": "mongodb://db:1",
            f"{PREFIX}HDFS_URI": "hdfs://nn:2",
            f"{PREFIX}WEBHDFS_URI": "http://nn:3",
            f"{PREFIX}MLFLOW_URI": "http://ml:4",
        }
    )
    addresses = (settings.mongo_address, settings.hdfs_address)
    assert addresses == ("mongodb://db:1", "hdfs://nn:2")
    assert (settings.webhdfs_address, settings.mlflow_address) == ("http://nn:3", "http://ml:4")


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT_MONGO", "many", "integer"),
        ("PORT_MONGO", "27017.5", "integer"),
        ("PORT_AIRFLOW", "0", "greater than or equal to 1"),
        ("PORT_SERVE", "65536", "less than or equal to 65535"),
        ("INSTALL", "maybe", "yes|no"),
    ],
)
def test_bad_value_names_the_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_settings({f"{PREFIX}HOME": "/x", f"{PREFIX}{variable}": value})
    said = str(raised.value)
    assert said.startswith(f"{PREFIX}{variable}={value!r} cannot be used: ")
    assert words in said


def test_empty_variable_is_not_set() -> None:
    settings = read_settings({f"{PREFIX}HOME": "/x", f"{PREFIX}PORT_MONGO": ""})
    assert settings.port_mongo == 27017


def test_import_roots_default_to_a_folder_in_home() -> None:
    assert read_settings({f"{PREFIX}HOME": "/x"}).allowed_import_roots == (Path("/x/import"),)


def test_import_roots_are_split_and_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    given = {f"{PREFIX}HOME": "/x", f"{PREFIX}IMPORT_ROOTS": "/photos::~/herbs:"}
    assert read_settings(given).allowed_import_roots == (Path("/photos"), Path("/home/ada/herbs"))


@pytest.mark.parametrize(("given", "expected"), [("", "/x/presets"), ("~/p", "/home/ada/p")])
def test_own_presets(given: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    settings = read_settings({f"{PREFIX}HOME": "/x", f"{PREFIX}PRESETS": given})
    assert settings.own_presets == Path(expected)


@pytest.mark.parametrize("variable", ["MONGO_URI", "MLFLOW_URI"])
def test_password_is_not_shown(variable: str) -> None:
    given = {f"{PREFIX}HOME": "/x", f"{PREFIX}{variable}": "http://ada:s3cret@host:1"}
    settings = read_settings(given)
    assert "s3cret" in str(getattr(settings, variable.lower()))
    assert "s3cret" not in f"{settings!r} {settings}"
