"""The measuring part of ./modelmill bench serve; runs in the jobs' environment."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.environment import find_free_port
from tests.serving.measuring import bundle as bundles
from tests.serving.measuring.load import run_closed, run_open
from tests.serving.measuring.picture import make_jpeg
from tests.serving.measuring.soak import MAX_GROWTH, SHORT_MINUTES, read_memory, soak

SERVER_CORE, CLIENT_CORE = "0", "1"
BOTH = "0,1"
CLIENTS = 16
MANY = 64
OVER = 4
IN_TIME_SECONDS = 2.0


@dataclass(frozen=True)
class Ground:
    """What every measurement needs."""

    bundle: Path
    picture: bytes
    picture_path: Path
    seconds: float


def tell(finding: str, **values: object) -> None:
    """One JSON line."""
    rounded = {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}
    print(json.dumps({"benchmark": "serve", "finding": finding, **rounded}), flush=True)


def read_cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _pin(cores: str, argv: Sequence[str]) -> list[str]:
    return ["taskset", "-c", cores, *argv]


def _wait(port: int, process: subprocess.Popen[bytes], path: str) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # the baseline knows no such path, but it answers
        except OSError:
            if process.poll() is not None:
                raise RuntimeError("the server ended while starting") from None
            time.sleep(0.01)


@contextmanager
def _run(argv: Sequence[str], port: int, path: str = "/readyz") -> Iterator[int]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process, path)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def run_ours(ground: Ground, cores: str = SERVER_CORE) -> Iterator[tuple[int, int]]:
    """Our server on those cores; its port and process id."""
    port = find_free_port()
    argv = [sys.executable, "-m", "serving.server", "--bundle", str(ground.bundle)]
    argv += ["--deployment", "bench", "--version", "1", "--port", str(port)]
    with _run(_pin(cores, argv), port) as pid:
        run_closed(port, ground.picture, 4, 1.0)
        yield port, pid


def run_loop(ground: Ground) -> dict[str, float]:
    """The bare loop on the server's core."""
    argv = [sys.executable, "-m", "tests.serving.measuring.baselines"]
    argv += ["--bundle", str(ground.bundle), "--picture", str(ground.picture_path)]
    argv += ["--seconds", str(ground.seconds)]
    done = subprocess.run(_pin(SERVER_CORE, argv), stdout=subprocess.PIPE, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measure_one_core(ground: Ground, repeat: int) -> float:
    """One and sixteen callers against the bare loop, in turns; the server's answers a second."""
    capacity = 0.0
    for _ in range(repeat):
        before = run_loop(ground)
        with run_ours(ground) as (port, pid):
            one = run_closed(port, ground.picture, 1, ground.seconds)
            cpu = read_cpu_seconds(pid)
            many = run_closed(port, ground.picture, CLIENTS, ground.seconds)
            cpu_ms = 1000 * (read_cpu_seconds(pid) - cpu) / len(many.seconds)
        after = run_loop(ground)
        loop = {key: (before[key] + after[key]) / 2 for key in before}
        capacity = many.throughput
        tell(
            "one core",
            loop_p50_ms=loop["p50_ms"],
            p50_ms=one.percentile(50),
            p50_over_loop=one.percentile(50) / loop["p50_ms"],
            loop_throughput=loop["throughput"],
            throughput=many.throughput,
            throughput_over_loop=many.throughput / loop["throughput"],
            loop_cpu_ms=loop["cpu_ms"],
            cpu_ms=cpu_ms,
            cpu_over_loop=cpu_ms / loop["cpu_ms"],
            p95_ms_one=one.percentile(95),
            p95_ms_sixteen=many.percentile(95),
            p95_over_one=many.percentile(95) / one.percentile(95),
            refused=len(one.refused) + len(many.refused),
            failures=one.failures + many.failures,
        )
    return capacity


def measure_flask(ground: Ground, repeat: int) -> None:
    """Sixteen callers, everything on both cores, against the plain server."""
    os.sched_setaffinity(0, {0, 1})
    for _ in range(repeat):
        port = find_free_port()
        argv = [sys.executable, "-m", "tests.serving.measuring.baselines", "--flask", str(port)]
        argv += ["--bundle", str(ground.bundle)]
        with _run(_pin(BOTH, argv), port):
            run_closed(port, ground.picture, 4, 1.0)
            plain = run_closed(port, ground.picture, CLIENTS, ground.seconds)
        with run_ours(ground, BOTH) as (port, _pid):
            ours = run_closed(port, ground.picture, CLIENTS, ground.seconds)
        tell(
            "against Flask",
            flask_throughput=plain.throughput,
            throughput=ours.throughput,
            throughput_over_flask=ours.throughput / plain.throughput,
            flask_p95_ms=plain.percentile(95),
            p95_ms=ours.percentile(95),
            p95_over_flask=ours.percentile(95) / plain.percentile(95),
            failures=ours.failures + len(ours.refused),
        )
    os.sched_setaffinity(0, {int(CLIENT_CORE)})


def measure_overload(ground: Ground, capacity: float) -> None:
    """Four times what it can, by an open loop over 64 connections."""
    with run_ours(ground) as (port, pid):
        before = read_memory(pid)
        calm = run_closed(port, ground.picture, CLIENTS, ground.seconds)
        answers = run_open(port, ground.picture, MANY, OVER * calm.throughput, ground.seconds * 2)
        after = read_memory(pid)
    in_time = [one for one in answers.seconds if one <= IN_TIME_SECONDS]
    tell(
        "overload",
        capacity=calm.throughput,
        capacity_before=capacity,
        in_time_a_second=len(in_time) / answers.elapsed,
        in_time_over_capacity=len(in_time) / answers.elapsed / calm.throughput,
        refused=len(answers.refused),
        refused_p95_ms=_percentile(answers.refused, 95),
        p95_ms=answers.percentile(95),
        failures=answers.failures,
        memory_growth=after / before - 1,
    )


def _percentile(seconds: list[float], percent: int) -> float:
    ordered = sorted(seconds)
    return 1000 * ordered[len(ordered) * percent // 100] if ordered else 0.0


def measure_start(ground: Ground, repeat: int) -> None:
    """From the command to the first "ready", on both cores."""
    for _ in range(repeat):
        port = find_free_port()
        argv = [sys.executable, "-m", "serving.server", "--bundle", str(ground.bundle)]
        argv += ["--deployment", "bench", "--version", "1", "--port", str(port)]
        begin = time.perf_counter()
        with _run(_pin(BOTH, argv), port) as pid:
            seconds = time.perf_counter() - begin
            tell("start", ready_seconds=seconds, cpu_seconds=read_cpu_seconds(pid))


def measure_soak(ground: Ground, minutes: float) -> None:
    """Short runs at half of what it can do; each process's memory, after the first and the last."""
    with run_ours(ground) as (port, pid):
        calm = run_closed(port, ground.picture, CLIENTS, ground.seconds)
        rate = calm.throughput / 2
        total, memory = soak(port, pid, ground.picture, minutes=minutes, clients=CLIENTS, rate=rate)
    for one in memory:
        tell(
            "soak",
            minutes=minutes,
            answers=len(total.seconds),
            answers_a_second=total.throughput,
            failures=total.failures + len(total.refused),
            first_mb=one.first / 2**20,
            last_mb=one.last / 2**20,
            memory_growth=one.growth,
            wanted=MAX_GROWTH,
        )


def main() -> int:
    """Each finding is one JSON line."""
    parser = argparse.ArgumentParser(prog="./modelmill bench serve", description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle; default: EfficientNet-Lite0")
    parser.add_argument("--seconds", type=float, default=10, help="of each run of load")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--soak", type=float, default=SHORT_MINUTES, help="minutes of load; 0: leave out"
    )
    parser.add_argument("--only-soak", action="store_true", help="nothing else")
    arguments = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        parser.error("two cores are needed: one for the server, one for its callers")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = arguments.bundle
        if bundle is None:
            bundle = folder / "bundle"
            bundles.write_bundle(bundle)
        path = folder / "picture.jpg"
        path.write_bytes(make_jpeg())
        ground = Ground(bundle, path.read_bytes(), path, arguments.seconds)
        tell("ground", picture_bytes=len(ground.picture), load_average=os.getloadavg()[0])
        os.sched_setaffinity(0, {int(CLIENT_CORE)})
        if not arguments.only_soak:
            capacity = measure_one_core(ground, arguments.repeat)
            measure_flask(ground, arguments.repeat)
            measure_overload(ground, capacity)
            measure_start(ground, arguments.repeat)
        if arguments.soak:
            measure_soak(ground, arguments.soak)
        tell("ground", load_average=os.getloadavg()[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
