"""Machines by name, and as the driver lists them."""

import pytest

from constitution.problems import InputError
from engine.sizing import gpus
from engine.sizing.gpus import GIB, machine_here, read_machine


@pytest.mark.parametrize(
    ("text", "name", "count", "gib"),
    [
        ("H100-80GB x8", "H100-80GB", 8, 79.1),
        ("H100-80GBx8", "H100-80GB", 8, 79.1),
        ("NVIDIA H100 80GB", "H100-80GB", 1, 79.1),
        ("A100-40GB", "A100-40GB", 1, 39.4),
        ("a100 80gb x 2", "A100-80GB", 2, 79.2),
        ("L40S", "L40S", 1, 44.4),
        ("L4 x2", "L4", 2, 22.0),
        ("T4", "T4", 1, 14.6),
        ("H200 x8", "H200", 8, 139.8),
        ("B200", "B200", 1, 178.0),
        ("RTX 4090 24GB", "RTX4090", 1, 23.5),
        ("rtx 4090", "RTX4090", 1, 23.5),
        ("A6000-48GB x4", "A6000-48GB", 4, 0.965 * 48),
    ],
)
def test_a_machine_is_read(text, name, count, gib):
    machine = read_machine(text)
    assert (machine.gpu.name, machine.count) == (name, count)
    assert machine.gpu.memory / GIB == pytest.approx(gib)


@pytest.mark.parametrize("text", ["", "H100 x0", "a large one", "X-0GB", "x8"])
def test_what_is_no_machine_is_refused_with_those_that_are(text):
    with pytest.raises(InputError, match="name one of A100-40GB"):
        read_machine(text)


LISTED = "NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n"


@pytest.mark.parametrize(("visible", "count"), [(None, 2), ("1", 1), ("0,1", 2)])
def test_the_cards_here_are_those_that_may_be_used(visible, count):
    machine = gpus._listed(LISTED, visible)
    assert machine.count == count and machine.gpu.peak == pytest.approx(989e12)


@pytest.mark.parametrize(("output", "visible"), [("", None), (LISTED, ""), ("No devices\n", None)])
def test_no_cards_are_no_machine(output, visible):
    assert gpus._listed(output, visible) is None


def test_a_machine_without_a_driver_has_none(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine_here() is None
