"""What this machine's CPU is, and how Paddle is made to use all of it."""

import hashlib
import os
import platform
from pathlib import Path

CPU_FILE = Path("/proc/cpuinfo")
# Paddle multiplies by a library of Intel's from 2019, which takes any other maker's CPU for one of
# the oldest: a product takes three times as long then. 5: any CPU that can do what is NEEDED.
KIND_VARIABLE, KIND = "MKL_DEBUG_CPU_TYPE", "5"
KNOWN_MAKER, NEEDED = "GenuineIntel", frozenset({"avx2", "fma"})


def describe_cpu() -> str:
    """The CPU's name and a hash of its features: kernels are chosen by them."""
    known = _read()
    if not known:
        return f"{platform.machine()} {platform.processor()}".strip()
    features = _list_features(known)
    name = known.get("model name") or platform.machine()
    digest = hashlib.sha256(" ".join(sorted(features)).encode()).hexdigest()
    return f"{name}, features {digest[:8]}"


def use_fast_products() -> None:
    """Have Paddle multiply as fast as the CPU can; of use before its first product only."""
    known = _read()
    able = set(_list_features(known)) >= NEEDED
    if able and known.get("vendor_id") != KNOWN_MAKER:
        os.environ[KIND_VARIABLE] = KIND


def _read() -> dict[str, str]:
    """By name what the kernel knows of the last core; empty where it does not tell."""
    if not CPU_FILE.is_file():
        return {}
    lines = CPU_FILE.read_text().splitlines()
    return {key.strip(): value.strip() for key, _, value in (one.partition(":") for one in lines)}


def _list_features(known: dict[str, str]) -> list[str]:
    return (known.get("flags") or known.get("Features") or "").split()
