"""An HDFS of the tests: real servers, with permissions, that a test may kill."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.mongo_server import free_port, wait_for_port

SERVER = "org.apache.hadoop.hdfs.server"
JAVA = ("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Hdfs:
    """One NameNode and one DataNode below `folder`; whoever starts them is the superuser."""

    def __init__(self, jars: list[Path], folder: Path) -> None:
        self._folder = folder
        self._path = ":".join([str(folder / "conf"), *map(str, jars)])
        self._http, self._rpc = free_port(), free_port()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._configure()
        self._run("namenode.NameNode", "-format", "-nonInteractive").wait(60)
        self.start("namenode.NameNode")
        self.start("datanode.DataNode")
        self.wait_until_ready()

    @property
    def address(self) -> str:
        """Of WebHDFS."""
        return f"http://127.0.0.1:{self._http}"

    @property
    def blocks(self) -> Path:
        """Where the DataNode keeps what it holds."""
        return self._folder / "data"

    def _configure(self) -> None:
        here = "127.0.0.1:"
        site = {
            "fs.defaultFS": f"hdfs://{here}{self._rpc}",
            "hadoop.tmp.dir": str(self._folder / "tmp"),
            "dfs.namenode.name.dir": (self._folder / "name").as_uri(),
            "dfs.datanode.data.dir": self.blocks.as_uri(),
            "dfs.namenode.http-address": f"{here}{self._http}",
            "dfs.namenode.rpc-bind-host": "127.0.0.1",
            **{f"dfs.datanode.{name}address": f"{here}0" for name in ("", "http.", "ipc.")},
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.replication": "1",
            "dfs.namenode.safemode.extension": "0",
            # A dead DataNode is noticed after seconds, not after ten minutes.
            "dfs.heartbeat.interval": "1",
            "dfs.namenode.heartbeat.recheck-interval": "500",
            "dfs.client.retry.window.base": "10",
        }
        rows = "".join(
            f"<property><name>{name}</name><value>{value}</value></property>"
            for name, value in site.items()
        )
        (self._folder / "conf").mkdir()
        for name in ("core-site.xml", "hdfs-site.xml"):
            (self._folder / "conf" / name).write_text(f"<configuration>{rows}</configuration>")

    def _run(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("ab") as log:
            command = [*JAVA, "-cp", self._path, f"{SERVER}.{name}", *arguments]
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self, name: str) -> None:
        """NameNode or DataNode."""
        self.processes[name] = self._run(name)

    def kill(self, name: str) -> None:
        """As a power cut would."""
        self.processes[name].kill()
        self.processes[name].wait()

    def count_live(self) -> int:
        """DataNodes that the NameNode hears of; -1 before it has started."""
        query = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystem*"
        try:
            beans = requests.get(self.address + query, timeout=5).json()["beans"]
        except requests.RequestException:
            return -1
        facts = {key: value for bean in beans for key, value in bean.items()}
        return int(facts["NumLiveDataNodes"]) if facts.get("FSState") == "Operational" else -1

    def wait_until_ready(self) -> None:
        wait_for_port(self._http, self.processes["namenode.NameNode"])
        self.wait_for_live(1)

    def wait_for_live(self, wanted: int) -> None:
        """Until the NameNode counts so many DataNodes."""
        end = time.monotonic() + 60
        while self.count_live() != wanted:
            assert time.monotonic() < end, "HDFS is not ready"
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait()


@contextmanager
def run_hdfs(jars: list[Path], folder: Path) -> Iterator[Hdfs]:
    """Started, and ended with the test."""
    hdfs = Hdfs(jars, folder)
    try:
        yield hdfs
    finally:
        hdfs.stop()
