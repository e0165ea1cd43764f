"""A machine's place among those that train together: the address at which it is met there."""

import ipaddress
import socket

import psutil
from pydantic import BaseModel, ConfigDict

from serving.job.errors import UserError

MASTER_SETTING, NODES_SETTING = "MODELMILL_TRAIN_MASTER", "MODELMILL_TRAIN_NODES"


class Place(BaseModel):
    """node: the machine's number, 0 for the first of `nodes`.

    master: IP:PORT at which the first one's launcher answers. address, interface: this machine's
    own on the way there. job: id of the training, the same on all.
    """

    model_config = ConfigDict(frozen=True)

    master: str
    nodes: int
    node: int
    address: str
    interface: str
    job: str


def find_place(master: str, *, nodes: int, node: int, job: str) -> Place:
    """A machine's place; UserError where HOST:PORT leads nowhere from here.

    Paddle's launcher takes itself for the first one by comparing addresses: it gets no names.
    """
    host, _, port = master.rpartition(":")
    if not host or not port.isdigit():
        raise UserError(f"The address of the first machine was {master!r}: it must be HOST:PORT.")
    try:
        ip = socket.gethostbyname(host)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            # Sends nothing: it only asks for the way.
            way.connect((ip, int(port)))
            address = str(way.getsockname()[0])
    except (OSError, OverflowError, UnicodeError) as error:
        raise UserError(f"{master} cannot be reached from here: {error}.") from None
    if node == 0 and not (address == ip or ipaddress.ip_address(ip).is_loopback):
        raise UserError(
            f"{MASTER_SETTING} is {master}, which is no address of this machine: from here it is "
            f"reached by way of {address}. The first machine is the one that runs Airflow."
        )
    if node == 0:
        _check_free(ip, int(port))
        address = ip
    return Place(
        master=f"{ip}:{port}",
        nodes=nodes,
        node=node,
        address=address,
        interface=_find_interface(address),
        job=job,
    )


def _check_free(ip: str, port: int) -> None:
    """UserError where something listens there: the launcher would take it for its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((ip, port))
        except OSError as error:
            raise UserError(
                f"{MASTER_SETTING} names port {port}, which cannot be used here: {error.strerror}. "
                "Another training may run, or another program has it: choose a free port."
            ) from None


def _find_interface(address: str) -> str:
    for name, own in psutil.net_if_addrs().items():
        if any(one.address == address for one in own):
            return name
    raise UserError(f"No network interface of this machine has the address {address}.")
