"""How a training is spread over GPUs, as a configuration file of accelerate says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Sharding", "read_sharding"]


@dataclass(frozen=True, slots=True)
class Sharding:
    """`processes` train together, one on each GPU, `here` of them on one machine.

    ZeRO's stages (Rajbhandari et al. 2020, arXiv 1910.02054, section 5): 0 shards nothing (DDP), 1 the
    optimizer's state, 2 gradients too, 3 parameters as well. FSDP is stage 3, and without
    `reshard_after_forward` stage 2.
    """

    processes: int = 1
    here: int = 1
    stage: int = 0
    fsdp: bool = False

    def on(self, count: int) -> "Sharding":
        """The same on so many GPUs of each machine."""
        return replace(self, processes=self.processes * count // self.here, here=count)

    def share(self, stage: int) -> float:
        """Part of what ZeRO shards from `stage` on that one GPU holds."""
        return 1 / self.processes if self.stage >= stage else 1.0


def read_sharding(file: Mapping[str, Any]) -> Sharding:
    """Of the values of accelerate's file; what it leaves out is as accelerate has it."""
    processes, machines = _count(file, "num_processes"), _count(file, "num_machines")
    here = max(1, processes // machines)
    match str(file.get("distributed_type", "NO")).upper():
        case "FSDP":
            told = file.get("fsdp_config")
            fsdp: Mapping[str, Any] = told if isinstance(told, dict) else {}
            reshards = fsdp.get("fsdp_reshard_after_forward", True) not in (False, "SHARD_GRAD_OP")
            return Sharding(processes, here, 3 if reshards else 2, fsdp=True)
        case "DEEPSPEED":
            told = file.get("deepspeed_config")
            zero = told.get("zero_stage", 2) if isinstance(told, dict) else 2
            return Sharding(
                processes, here, zero if isinstance(zero, int) and 0 <= zero <= 3 else 2
            )
    return Sharding(processes, here)


def _count(file: Mapping[str, Any], name: str) -> int:
    value = file.get(name, 1)
    return value if isinstance(value, int) and value > 0 else 1
