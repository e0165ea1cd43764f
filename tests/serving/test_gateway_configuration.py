"""What HAProxy is told."""

import pytest

from serving import gateway_errors
from serving.gateway import list_replicas, read_mark, render_config, weigh

SECONDS = {"header_seconds": 10.0, "body_seconds": 30.0, "answer_seconds": 10.0}


def test_configuration_names_every_replica_and_waits_longer_than_servers_do() -> None:
    config = render_config(["boards-3-a", "boards-3-b"], **SECONDS)
    lines = [line.strip() for line in config.splitlines()]
    servers = [line for line in lines if line.startswith("server ")]
    assert [line.split()[2] for line in servers if "track" not in line] == [
        "boards-3-a:8000",
        "boards-3-b:8000",
    ]
    assert "timeout server 45s" in lines
    assert "tune.bufsize 262144" in lines
    assert "retry-on conn-failure empty-response" in lines
    assert "http-request wait-for-body time 30000ms" in lines
    with pytest.raises(ValueError, match="needs a replica"):
        render_config([], **SECONDS)


def test_what_the_gateway_says_is_part_of_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    before = render_config(["a"], **SECONDS)
    monkeypatch.setattr(gateway_errors, "NO_SERVER", "100 % of the servers' are gone.")
    after = render_config(["a"], **SECONDS)
    assert read_mark(before) != read_mark(after)
    # As HAProxy reads a percent sign and a quote.
    assert after.count("100 %% of the servers'\\'' are gone.") == 4


def test_mark_changes_with_the_configuration() -> None:
    one = render_config(["a"], **SECONDS)
    assert read_mark(one) == read_mark(render_config(["a"], **SECONDS))
    others = [
        render_config(["b"], **SECONDS),
        render_config(["a", "b"], **SECONDS),
        render_config(["a"], **{**SECONDS, "body_seconds": 31.0}),
    ]
    marks = {read_mark(config) for config in (one, *others)}
    assert len(marks) == 4
    assert all(mark in config for mark, config in [(read_mark(one), one)])


def test_weights_share_the_requests_by_percent() -> None:
    for percent in range(1, 51):
        for replicas, canaries in ((1, 1), (2, 2), (2, 1), (1, 3), (16, 16), (16, 1)):
            each, trial = weigh(replicas, canaries, percent)
            share = trial * canaries / (trial * canaries + each * replicas)
            assert 1 <= min(each, trial) <= max(each, trial) <= 256
            assert abs(share - percent / 100) < 0.005, (percent, replicas, canaries)


def test_configuration_gives_canaries_their_weight_in_the_same_backend() -> None:
    config = render_config(["a", "b"], ["c", "d"], 10, **SECONDS)
    servers = [line.split() for line in config.splitlines() if " weight " in line]
    assert [(line[1], line[2], line[4]) for line in servers] == [
        ("1", "a:8000", "9"),
        ("2", "b:8000", "9"),
        ("canary-3", "c:8000", "1"),
        ("canary-4", "d:8000", "1"),
    ]
    assert list_replicas(config) == ("a", "b")
    assert "track replicas/canary-4 " in config
    assert "balance roundrobin" in config
    assert "balance roundrobin" not in render_config(["a", "b"], **SECONDS)
