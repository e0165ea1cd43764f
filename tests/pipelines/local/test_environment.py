"""What a process that the installation starts gets of its caller's environment."""

import pytest

from pipelines.local.environment import base_environment, bypass_proxy


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "intra.net"}, "intra.net,127.0.0.1,localhost"),
        ({"no_proxy": "intra.net"}, "intra.net,127.0.0.1,localhost"),
        ({"NO_PROXY": "localhost,,intra.net"}, "localhost,intra.net,127.0.0.1"),
    ],
)
def test_no_proxy_is_asked_for_this_machine(given: dict[str, str], hosts: str) -> None:
    assert bypass_proxy(given) == {"NO_PROXY": hosts, "no_proxy": hosts}
    kept = base_environment({**given, "http_proxy": "http://proxy:3128"})
    assert (kept["http_proxy"], kept["no_proxy"]) == ("http://proxy:3128", hosts)


def test_secrets_and_foreign_settings_stay_behind() -> None:
    outer = {"AWS_SECRET_ACCESS_KEY": "s3cret", "PYTHONPATH": "/elsewhere", "PATH": "/bin"}
    assert base_environment(outer).keys() == {
        *("PATH", "LANG", "PYTHONUNBUFFERED", "NO_PROXY", "no_proxy"),
    }


def test_the_model_servers_settings_are_handed_on() -> None:
    """`up` hands them to Airflow, Airflow to the jobs, and these to the servers."""
    given = {"MODELMILL_SERVE_MAX_QUEUE": "8", "MODELMILL_KEEP_REQUESTS": "0.05"}
    unset = {"MODELMILL_SERVE_MAX_BATCH": "", "MODELMILL_TOKEN": "mm_secret"}
    kept = base_environment(base_environment({**given, **unset}))
    assert {name: value for name, value in kept.items() if name.startswith("MODELMILL_")} == given


@pytest.mark.parametrize(
    ("given", "locale"),
    [
        ({}, "C.UTF-8"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN.UTF-8"),
        ({"LANG": ""}, "C.UTF-8"),
    ],
)
def test_locale_is_a_utf8_one(given: dict[str, str], locale: str) -> None:
    assert base_environment(given)["LANG"] == locale
