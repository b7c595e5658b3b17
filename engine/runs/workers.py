"""Where the shards of a run are worked on: the settings that several machines need."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from constitution.permissions import REMOTE_CODE, Asks, Need
from constitution.problems import InputError, Problem
from constitution.typed_yaml import Settings

__all__ = ["Workers"]

_SHARDS = 32
_OWN = ("auto", "local")
"""Clusters that whoever runs the command has set up."""


def _needs(address: str) -> Iterator[Need]:
    if address not in _OWN:
        yield Need(REMOTE_CODE, "would run on a Ray cluster, which can run code here")


class Workers(Settings):
    """The workers of a Ray cluster, and the disk that a shard is worked on."""

    ray: Annotated[str | None, Asks((REMOTE_CODE,), _needs)] = Field(
        default=None,
        description="Do all shards on the workers of this Ray cluster, and gather them; auto is the one "
        "that this machine belongs to, local starts one.",
        json_schema_extra={"metavar": "ADDRESS"},
    )
    shards: int | None = Field(
        default=None, ge=1, description=f"With Ray: how many; {_SHARDS} if not given."
    )
    gpus: float = Field(
        default=1.0, ge=0, description="With Ray: GPUs of a worker; 0 is none, 0.5 shares one."
    )
    most: int | None = Field(
        default=None,
        ge=1,
        description="With Ray: workers at a time; as many as there is room for if not given.",
    )
    scratch: str | None = Field(
        default=None,
        description="With shards: work on this local disk, and copy to OUT as it goes.",
        json_schema_extra={"metavar": "DIR"},
    )

    @property
    def count(self) -> int:
        """Of the shards."""
        return self.shards or _SHARDS

    def check(self, shard: str | None) -> None:
        """Raise InputError for what contradicts itself, or `--shard`."""
        if self.ray is not None and shard is not None:
            raise InputError(Problem("--ray --shard", "exclude each other", "drop one of them"))
        if self.ray is None and (self.shards or self.most):
            name = "--shards" if self.shards else "--workers"
            raise InputError(Problem(name, "is for --ray", "write --shard I/N for one of them"))
