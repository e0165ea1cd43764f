"""Where a machine is met."""

import socket

import pytest

from pipelines.local.second_home import find_free_ports
from pipelines.nodes.place import Place, find_place
from serving.job.errors import UserError


def test_a_name_becomes_an_address_and_its_interface() -> None:
    place = find_place("localhost:7101", nodes=3, node=2, job="r-attempt-1")
    assert place == Place(
        master="127.0.0.1:7101",
        nodes=3,
        node=2,
        address="127.0.0.1",
        interface="lo",
        job="r-attempt-1",
    )


@pytest.mark.parametrize(
    ("master", "sentence"),
    [
        ("10.0.0.1", "it must be HOST:PORT"),
        ("10.0.0.1:x", "it must be HOST:PORT"),
        (":7101", "it must be HOST:PORT"),
        ("no.such.host.invalid:7101", "cannot be reached from here"),
        ("127.0.0.1:99999", "cannot be reached from here"),
    ],
)
def test_what_leads_nowhere_is_said(master: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        find_place(master, nodes=2, node=1, job="")


def test_the_first_machine_is_met_at_an_address_of_its_own() -> None:
    # Reserved for documentation: nobody has it.
    with pytest.raises(UserError, match=r"no address of this machine|cannot be reached"):
        find_place("203.0.113.7:7101", nodes=2, node=0, job="")
    (free,) = find_free_ports(1)
    assert find_place(f"localhost:{free}", nodes=2, node=0, job="").address == "127.0.0.1"


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        master = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match="choose a free port"):
            find_place(master, nodes=2, node=0, job="")
        # The others connect to it.
        assert find_place(master, nodes=2, node=1, job="").master == master
