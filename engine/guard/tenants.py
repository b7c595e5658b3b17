"""Who may ask: a tenant by the hash of its key, with the profile that it is held to and its rate."""

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from constitution.problems import InputError, Problem
from constitution.schema import Constitution, Slug
from constitution.typed_yaml import Settings, checked, read_yaml_file
from engine.settings import for_stakeholder

__all__ = [
    "ANYONE",
    "RateLimit",
    "Tenant",
    "Tenants",
    "hashed_key",
    "is_key",
    "new_key",
    "read_tenants",
]

_HASH = r"^sha256:[0-9a-f]{64}$"


class Tenant(Settings):
    """What one client's requests are held to."""

    key: Annotated[str, StringConstraints(pattern=_HASH)] | None = Field(
        default=None, description="The hash of its key, as `solon guard key` prints it."
    )
    stakeholder: Slug | None = Field(
        default=None, description="The profile that weighs the principles for it."
    )
    tags: tuple[Slug, ...] | None = Field(
        default=None, description="Tags of its prompts; without any, every principle applies."
    )
    requests_per_minute: int | None = Field(default=None, ge=1, description="Its rate limit.")


class _TenantsFile(Settings):
    tenants: dict[Slug, Tenant]


ANYONE = "anyone"
"""What a client is called where there are no tenants."""


def new_key() -> str:
    """A key of 256 random bits."""
    return f"solon-{secrets.token_urlsafe(32)}"


def hashed_key(key: str) -> str:
    """What is kept of a key. It is long and random, so no salt and no slow hash is needed."""
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}"


def read_tenants(path: Path, constitution: Constitution) -> dict[str, Tenant]:
    """Name to tenant. Raises InputError for a file that is wrong, a tenant without a key, two with
    the same, and a profile that the constitution does not have."""
    tenants = checked(read_yaml_file(path), _TenantsFile).tenants
    keys: dict[str, str] = {}
    problems = [] if tenants else [Problem(str(path), "names no tenant")]
    for name, tenant in tenants.items():
        where = f"{path}: tenants.{name}"
        if tenant.key is None:
            problems.append(Problem(where, "has no key", "run `solon guard key`"))
        elif keys.setdefault(tenant.key, name) != name:
            problems.append(Problem(where, f"has the key of {keys[tenant.key]}"))
        try:
            for_stakeholder(constitution, tenant.stakeholder)
        except InputError as error:
            problems += [Problem(where, one.what, one.remedy) for one in error.problems]
    if problems:
        raise InputError(problems)
    return tenants


@dataclass(slots=True)
class RateLimit:
    """A bucket of a minute's requests, which fills steadily (a token bucket)."""

    per_minute: int
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._at = float(self.per_minute), self.clock()

    def take(self) -> int:
        """Take a request from it: 0, or the whole seconds until there is one."""
        now = self.clock()
        filled = self._left + (now - self._at) * self.per_minute / 60
        self._left, self._at = min(float(self.per_minute), filled), now
        if self._left < 1:
            return max(1, math.ceil((1 - self._left) * 60 / self.per_minute))
        self._left -= 1
        return 0


class Tenants:
    """Finds who asks, and counts what they ask. Without `known` tenants anyone is one."""

    def __init__(self, known: Mapping[str, Tenant], per_minute: int | None = None) -> None:
        self._known = known or {ANYONE: Tenant()}
        self._open = not known
        self._by_hash = {tenant.key: name for name, tenant in known.items()}
        rates = {name: one.requests_per_minute or per_minute for name, one in self._known.items()}
        self._limits = {name: RateLimit(rate) for name, rate in rates.items() if rate}

    def named(self, name: str) -> Tenant:
        """The tenant of a name that `find` returned."""
        return self._known[name]

    def find(self, key: str) -> str | None:
        """The name of the tenant whose key this is; None where it is nobody's. That hashes are looked
        up tells their timing alone, which says nothing about a key."""
        return ANYONE if self._open else self._by_hash.get(hashed_key(key))

    def wait(self, name: str) -> int:
        """Seconds for which the tenant has to wait; 0 counts a request of its."""
        limit = self._limits.get(name)
        return limit.take() if limit else 0


def is_key(given: str, expected: str) -> bool:
    """Whether they are the same, in a time that does not tell where they part."""
    return compare_digest(hashed_key(given), hashed_key(expected))
