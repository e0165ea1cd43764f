"""Callers of a model server: closed loops, an open loop; each in the process that is given.

Raw sockets with prepared bytes: the callers share the machine with what they measure.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

READ_BYTES = 65536


@dataclass
class Answers:
    """Seconds of each answer by its status; 0 stands for a broken connection."""

    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failures: int = 0
    elapsed: float = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count one answer."""
        if status == 200:
            self.seconds.append(seconds)
        elif status == 503:
            self.refused.append(seconds)
        else:
            self.failures += 1

    @property
    def throughput(self) -> float:
        """Good answers a second."""
        return len(self.seconds) / self.elapsed

    def percentile(self, percent: float) -> float:
        """Of the good answers, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def make_request(picture: bytes) -> bytes:
    """One POST /v1/predict, keep-alive."""
    head = "POST /v1/predict HTTP/1.1\r\nHost: bench\r\nContent-Type: image/jpeg\r\n"
    return f"{head}Content-Length: {len(picture)}\r\n\r\n".encode() + picture


class Caller:
    """One connection, opened again where it broke."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port, self._request = port, request
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> int:
        """Send the request; its status, 0 where the connection broke."""
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if b"connection: close" in head.lower():
                self.close()
            return int(head[9:12])
        except (OSError, EOFError, IndexError):
            self.close()
            return 0

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def end(self) -> None:
        """Hang up, and wait until that is done."""
        writer = self._streams[1] if self._streams else None
        self.close()
        if writer is not None:
            with suppress(OSError):
                await writer.wait_closed()


async def _run_closed(port: int, request: bytes, clients: int, seconds: float) -> Answers:
    answers = Answers()
    begin = time.perf_counter()
    until = begin + seconds

    async def call() -> None:
        caller = Caller(port, request)
        while (sent := time.perf_counter()) < until:
            status = await caller.ask()
            answers.add(status, time.perf_counter() - sent)
        await caller.end()

    await asyncio.gather(*(call() for _ in range(clients)))
    answers.elapsed = time.perf_counter() - begin
    return answers


def run_closed(port: int, picture: bytes, clients: int, seconds: float) -> Answers:
    """Each client asks again as soon as it has its answer."""
    return asyncio.run(_run_closed(port, make_request(picture), clients, seconds))


async def _run_open(
    port: int, request: bytes, clients: int, rate: float, seconds: float
) -> Answers:
    answers = Answers()
    begin = time.perf_counter()
    free = [Caller(port, request) for _ in range(clients)]
    tasks = set()

    async def call(caller: Caller, due: float) -> None:
        status = await caller.ask()
        answers.add(status, time.perf_counter() - due)
        free.append(caller)

    number = 0
    while (due := begin + number / rate) < begin + seconds:
        delay = due - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        number += 1
        if free:
            task = asyncio.create_task(call(free.pop(), time.perf_counter()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    answers.elapsed = time.perf_counter() - begin
    for caller in free:
        await caller.end()
    return answers


def run_open(port: int, picture: bytes, clients: int, rate: float, seconds: float) -> Answers:
    """Requests at a fixed rate, whatever the server does, on at most so many connections."""
    return asyncio.run(_run_open(port, make_request(picture), clients, rate, seconds))
