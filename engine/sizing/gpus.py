"""Graphics cards: how much memory a program finds on one, and how fast it multiplies.

Memory is what torch reports as a card's total, a few percent under the number in its name; peaks are
the makers' for dense 16-bit matrix products with tensor cores (half of what data sheets give "with
sparsity").
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from constitution.problems import InputError, Problem

__all__ = ["GIB", "Gpu", "Machine", "machine_here", "read_machine"]

GIB = 2**30
_TERA = 10**12
_LEFT = 0.965
"""Share of the gigabytes in a card's name that is found on one that is not in the table."""
_SEVERAL = re.compile(r"(?:\s|(?<=[\dBS]))[x×*]\s{0,3}(\d{1,5})\Z", re.IGNORECASE)
_NAMED = re.compile(
    r"\A(?P<name>.+?)[\s-](?P<size>\d{1,4}(?:\.\d{1,3})?)\s{0,3}GI?B\Z", re.IGNORECASE
)
_BETWEEN = re.compile(r"[\s_-]")
_MAKERS = re.compile(r"[\s_-]|nvidia|geforce")
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Gpu:
    """`memory` in bytes; `peak` in operations a second, None where it is not known; `bfloat16` is
    whether it computes in that type rather than emulating it."""

    name: str
    memory: float
    peak: float | None = None
    bfloat16: bool = True


@dataclass(frozen=True, slots=True)
class Machine:
    """Cards of one kind."""

    gpu: Gpu
    count: int = 1

    def __str__(self) -> str:
        several = f" x{self.count}" if self.count > 1 else ""
        return f"{self.gpu.name}{several}"


def _card(name: str, gib: float, tera: float, *, bfloat16: bool = True) -> Gpu:
    return Gpu(name, gib * GIB, tera * _TERA, bfloat16)


_CARDS = {
    gpu.name: gpu
    for gpu in (
        _card("A100-40GB", 39.4, 312),
        _card("A100-80GB", 79.2, 312),
        _card("B200", 178.0, 2250),
        _card("H100-80GB", 79.1, 989),
        _card("H200", 139.8, 989),
        _card("L4", 22.0, 121),
        _card("L40S", 44.4, 362),
        _card("RTX4090", 23.5, 165),
        _card("T4", 14.6, 65, bfloat16=False),
        _card("V100-16GB", 15.8, 125, bfloat16=False),
        _card("V100-32GB", 31.7, 125, bfloat16=False),
    )
}
"""H100 and A100 are the SXM cards: on PCIe they are slower."""
_SHORT = {"A100": "A100-80GB", "H100": "H100-80GB", "4090": "RTX4090", "V100": "V100-16GB"}


def read_machine(text: str) -> Machine:
    """`H100-80GB`, `A100-40GB x8`, `RTX 4090 24GB`, or NAME-xxGB for a card that is not in the table.

    Raises InputError for anything else.
    """
    written = text.strip()
    several = _SEVERAL.search(written)
    count = int(several[1]) if several else 1
    gpu = _card_named(written[: several.start()].strip() if several else written)
    if gpu is None or count < 1:
        known = ", ".join(_CARDS)
        remedy = f"name one of {known}, or NAME-xxGB for another, and x8 for eight of them"
        raise InputError(Problem(f"--gpu {text}", "is not a GPU whose memory is known", remedy))
    return Machine(gpu, count)


def _card_named(name: str) -> Gpu | None:
    plain = _plain(name)
    sized = _NAMED.fullmatch(name)
    for known in (plain, _plain(sized["name"]) if sized else ""):
        known = _plain(_SHORT.get(known.upper(), known))
        for card in _CARDS.values():
            if _plain(card.name) == known and (not sized or _holds(card, sized)):
                return card
    if sized and float(sized["size"]) > 0:
        return Gpu(name.strip(), float(sized["size"]) * _LEFT * GIB)
    return None


def _plain(name: str) -> str:
    return _MAKERS.sub("", name.lower())


def _holds(card: Gpu, sized: re.Match[str]) -> bool:
    """Whether a card has about the memory that was written."""
    return abs(card.memory / GIB / float(sized["size"]) - 1) < 0.12


def machine_here() -> Machine | None:
    """The cards of this machine, as NVIDIA's driver lists them; None where it lists none.

    `CUDA_VISIBLE_DEVICES` counts. No library is loaded and nothing is started on a card.
    """
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    asked = [command, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return _listed(done.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _listed(output: str, visible: str | None) -> Machine | None:
    """The first card of a listing with a line `NAME, MEBIBYTES` each, and how many may be used."""
    found = []
    for line in output.splitlines():
        name, _, size = line.rpartition(",")
        if size.strip().isdigit():
            found.append((name.strip(), int(size) * 2**20))
    count = len(found)
    if visible is not None:
        count = min(count, len([v for v in visible.split(",") if v.strip() not in ("", "-1")]))
    if not count:
        return None
    name, memory = found[0]
    known = [card for card in _CARDS.values() if _is_of_kind(name, memory, card)]
    peak, bfloat16 = (known[0].peak, known[0].bfloat16) if known else (None, True)
    return Machine(Gpu(name, memory, peak, bfloat16), count)


def _is_of_kind(name: str, memory: float, card: Gpu) -> bool:
    kind = card.name.partition("-")[0]
    return kind.lower() in _BETWEEN.split(name.lower().replace("rtx ", "rtx")) and (
        abs(memory / card.memory - 1) < 0.1
    )
