import os
from pathlib import Path

import pytest

from training import cpu

ABLE = "fpu sse2 avx fma avx2"


@pytest.mark.parametrize(
    ("maker", "features", "told"),
    [
        ("AuthenticAMD", ABLE, True),
        ("HygonGenuine", ABLE, True),
        # Known to the library, which may find it able to do still more.
        ("GenuineIntel", ABLE, False),
        # It would be given instructions that it does not have.
        ("AuthenticAMD", "fpu sse2 avx", False),
    ],
)
def test_cpus_of_other_makers_are_used_as_far_as_they_can(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, maker: str, features: str, told: bool
) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(f"vendor_id\t: {maker}\nmodel name\t: Some\nflags\t\t: {features}\n\n" * 2)
    monkeypatch.setattr(cpu, "CPU_FILE", file)
    monkeypatch.setenv(cpu.KIND_VARIABLE, "untold")
    cpu.use_fast_products()
    assert (os.environ[cpu.KIND_VARIABLE] != "untold") == told


def test_cpu_that_the_kernel_does_not_describe_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cpu, "CPU_FILE", tmp_path / "none")
    monkeypatch.setenv(cpu.KIND_VARIABLE, "untold")
    cpu.use_fast_products()
    assert os.environ[cpu.KIND_VARIABLE] == "untold"
    assert cpu.describe_cpu()
