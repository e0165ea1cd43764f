"""Counting cards, and turning the form's `devices` into processes."""

import os
from pathlib import Path

import pytest

from pipelines.devices import (
    MAX_CPU_RANKS,
    DeviceError,
    Devices,
    choose_devices,
    count_cores,
    count_gpus,
    has_cuda_build,
)
from pipelines.local.environment import base_environment

DRIVER = ("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia-caps", "null")


def make_nodes(folder: Path, cards: int) -> Path:
    for name in (*DRIVER, *(f"nvidia{index}" for index in range(cards))):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("cards", [0, 1, 12])
def test_only_cards_count(tmp_path: Path, cards: int) -> None:
    assert count_gpus({}, make_nodes(tmp_path, cards)) == cards


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("", 0),
        ("-1", 0),
        ("-1,-1", 0),
        ("0", 1),
        ("2, 3", 2),
        ("0,1,2,3", 4),
        ("GPU-5f5cd3a2", 1),
        ("0,1,2,3,4,5", 4),
        ("0,-1,1", 1),
    ],
)
def test_hidden_cards_do_not_count(tmp_path: Path, visible: str, expected: int) -> None:
    folder = make_nodes(tmp_path, 4)
    assert count_gpus({"CUDA_VISIBLE_DEVICES": visible}, folder) == expected


def test_jobs_see_no_card_where_the_caller_hid_them_all(tmp_path: Path) -> None:
    given = base_environment({"PATH": "/bin", "CUDA_VISIBLE_DEVICES": ""})
    assert count_gpus(given, make_nodes(tmp_path, 4)) == 0


def test_no_device_folder_means_no_card(tmp_path: Path) -> None:
    assert count_gpus({}, tmp_path / "missing") == 0


@pytest.mark.parametrize(
    ("wanted", "gpus", "cuda_build", "cores", "expected"),
    [
        ("auto", 0, False, 2, Devices(kind="cpu", ranks=2)),
        ("auto", 2, True, 16, Devices(kind="gpu", ranks=2)),
        ("auto", 2, False, 4, Devices(kind="cpu", ranks=4)),
        ("cpu", 2, True, 4, Devices(kind="cpu", ranks=4)),
        ("gpu", 3, True, 4, Devices(kind="gpu", ranks=3)),
        ("cpu", 0, False, 64, Devices(kind="cpu", ranks=MAX_CPU_RANKS)),
        ("cpu", 0, False, 0, Devices(kind="cpu", ranks=1)),
    ],
)
def test_one_process_per_device(
    wanted: str, gpus: int, cuda_build: bool, cores: int, expected: Devices
) -> None:
    assert choose_devices(wanted, gpus, cuda_build, cores) == expected


@pytest.mark.parametrize(
    ("gpus", "cuda_build", "words"),
    [
        (0, True, "no card was found"),
        (0, False, "no card was found"),
        (2, False, "the jobs' Paddle is the build for CPUs"),
    ],
)
def test_gpu_that_cannot_be_had_gets_a_sentence(gpus: int, cuda_build: bool, words: str) -> None:
    with pytest.raises(DeviceError) as raised:
        choose_devices("gpu", gpus, cuda_build, 4)
    assert str(raised.value) == f"devices was 'gpu', but {words}. Choose auto or cpu."


@pytest.mark.parametrize(
    ("package", "expected"), [("paddlepaddle", False), ("paddlepaddle_gpu", True)]
)
def test_build_of_paddle_is_read_off_its_package(
    tmp_path: Path, package: str, expected: bool
) -> None:
    (tmp_path / "lib/python3.11/site-packages" / f"{package}-3.3.1.dist-info").mkdir(parents=True)
    assert has_cuda_build(tmp_path) is expected


def test_only_cores_that_this_process_may_use_count() -> None:
    given = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(given)})
        assert count_cores() == 1
    finally:
        os.sched_setaffinity(0, given)
    assert count_cores() == len(given)
