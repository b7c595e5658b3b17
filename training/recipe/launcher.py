"""A configuration of accelerate that a recipe names: whom it connects to, and what it would run
besides the training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from constitution.permissions import REMOTE_CODE, Need
from constitution.problems import InputError
from constitution.typed_yaml import read_yaml_file

__all__ = ["launcher_hosts", "launcher_needs"]

_STARTS_PROCESSES_HERE = frozenset(
    "compute_environment debug deepspeed_config distributed_type downcast_bf16 dynamo_backend "
    "dynamo_config enable_cpu_affinity fp16 fp8_config fsdp_config gpu_ids machine_rank "
    "main_process_ip main_process_port main_training_function mixed_precision num_machines "
    "num_processes parallelism_config rdzv_backend same_network use_cpu".split()
)
"""Keys that start the training on this machine and nothing else; others (`commands`, `tpu_vm`,
`mpirun_config`, those of SageMaker) run commands, also on other machines."""
_DEEPSPEED_ELSEWHERE = {
    "deepspeed_config_file",
    "deepspeed_hostfile",
    "deepspeed_multinode_launcher",
}


def launcher_needs(file: Path) -> Iterator[Need]:
    """What the file needs a permission for; its text is not quoted, as it may be any file.

    Raises InputError unless it is a plain YAML mapping.
    """
    data = _read(file)
    deepspeed = data.get("deepspeed_config")
    more = data.get("compute_environment", "LOCAL_MACHINE") != "LOCAL_MACHINE"
    more = more or any(value for key, value in data.items() if key not in _STARTS_PROCESSES_HERE)
    more = more or (isinstance(deepspeed, dict) and not _DEEPSPEED_ELSEWHERE.isdisjoint(deepspeed))
    if more:
        what = f"is {file.name}, which may do more than start processes on this machine"
        yield Need(REMOTE_CODE, what, ("accelerate",))


def launcher_hosts(file: Path) -> list[str]:
    """Other machines that it connects to. Raises InputError unless it is a plain YAML mapping."""
    data = _read(file)
    return [str(data["main_process_ip"])] if data.get("main_process_ip") else []


def _read(file: Path) -> dict[str, Any]:
    """Without what YAML readers take differently, such as a key that is there twice."""
    source = read_yaml_file(file)
    if source.problems:
        raise InputError(source.problems)
    found: dict[str, Any] = source.data
    return found
