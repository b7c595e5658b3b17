"""A guard from what `solon serve` is given: its files opened and checked, its models started."""

import ipaddress
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from constitution.loader import load_for_judging
from constitution.problems import InputError, Problem, all_problems, missing
from constitution.schema import Constitution, Severity
from engine.environment import from_environment, in_environment
from engine.generators.base import started
from engine.generators.spec import read_spec
from engine.guard.audit import AuditLog, rows_since
from engine.guard.breaker import Breaker, BreakerRule, read_rules
from engine.guard.escalation import Queue, Webhook
from engine.guard.guard import Guard
from engine.guard.keeping import Keeping
from engine.guard.metrics import Metrics
from engine.guard.policy import severities_of
from engine.guard.redaction import Redactor
from engine.guard.server import Desk
from engine.guard.settings import ServeConfig
from engine.guard.tenants import Tenant, Tenants, read_tenants
from engine.guard.tracing import Tracer
from engine.judging.calibrate import calibrated
from engine.runs.constitution_copy import keep_constitution
from engine.runs.manifest import versions
from engine.runs.output import OutputDirectory, OutputKind
from engine.settings import Roles, for_stakeholder
from engine.storage.cached_generator import preflight_of

__all__ = ["GUARD", "opened_desk"]

GUARD = OutputKind("guard", "guard's directory", overwrites=False)


@asynccontextmanager
async def opened_desk(config: ServeConfig) -> AsyncIterator[Desk]:
    """What takes requests in, with its models started and its files open; all are closed after it.

    Raises InputError for everything that is wrong in what was given, for a judge that cannot tell
    the constitution's own tests apart, and for a directory that another guard holds.
    """
    constitution, models, tenants, key, url, _ = all_problems(
        lambda: for_stakeholder(load_for_judging(config.constitution), config.revise.stakeholder),
        lambda: Roles(**config.roles.open(config.sampling)),
        lambda: _tenants(config),
        lambda: _admin_key(config),
        lambda: _webhook_url(config),
        _check_installed,
    )
    with OutputDirectory(Path(config.out), GUARD, {}) as directory:
        async with started(models.generators):
            judged = constitution.needs_judge or config.guard.input_question
            await preflight_of(dict(models), () if judged else ("judge",)).passed()
            models, _ = await calibrated(models, constitution, config.revise)
            facts = _facts(config, constitution, models)
            directory.write("serving", facts)
            keep_constitution(directory.path, constitution)
            with _keeping(config, constitution, url) as keeping:
                guard = Guard(constitution, models, config.guard, config.revise, keeping)
                keeping.log.append("start", {"constitution": constitution.content_hash})
                yield Desk(
                    guard,
                    Tenants(tenants, config.server.requests_per_minute),
                    config.server,
                    config.sampling,
                    config.server.name or _name(config),
                    config.guard.window,
                    key,
                )
                if keeping.webhook:
                    await keeping.webhook.close()
            directory.write("ended", facts)


@contextmanager
def _keeping(config: ServeConfig, constitution: Constitution, url: str | None) -> Iterator[Keeping]:
    directory, redactor = Path(config.out), Redactor(config.log.redact)
    rules = read_rules(config.guard.breaker) if config.guard.breaker else ()
    earlier = _earlier_breaches(directory, constitution, rules)
    log = AuditLog(directory, redactor, retention_days=config.log.retention_days)
    queue, tracer = Queue(directory, redactor), Tracer()
    breaker = Breaker(directory, rules, earlier=earlier)
    webhook = Webhook(url) if url else None
    try:
        yield Keeping(log, queue, breaker, Metrics(), tracer, webhook, config.log.log_text)
    finally:
        queue.close()
        log.close()
        tracer.close()


def _earlier_breaches(
    directory: Path, constitution: Constitution, rules: tuple[BreakerRule, ...]
) -> list[tuple[float, Severity]]:
    """What the log says was broken so recently that a rule of the breaker counts it."""
    severities = severities_of(constitution)
    found = []
    for row in rows_since(directory, max((rule.seconds for rule in rules), default=0)):
        broken = [severities[name] for name in row.get("broken") or () if name in severities]
        if broken:
            at = datetime.fromisoformat(row["at"]).timestamp()
            found.append((at, max(broken, key=lambda severity: severity.factor)))
    return found


def _tenants(config: ServeConfig) -> dict[str, Tenant]:
    """Raises InputError where anyone on the network could ask."""
    if config.server.tenants is not None:
        return read_tenants(Path(config.server.tenants), load_for_judging(config.constitution))
    host = config.server.host
    local = host == "localhost"
    with suppress(ValueError):
        local = ipaddress.ip_address(host).is_loopback
    if not local:
        what = f"is {host}, where anyone could ask, and there are no tenants"
        raise InputError(Problem("--host", what, "name tenants and their keys with --tenants FILE"))
    return {}


def _admin_key(config: ServeConfig) -> str | None:
    """Raises InputError where a breaker could not be closed again."""
    name = config.server.admin_key_env
    key = in_environment(name)
    if config.guard.breaker and not key:
        what = "could not be closed again without a key"
        raise InputError(Problem("--breaker", what, f"set ${name}: `solon guard key` makes one"))
    return key or None


def _webhook_url(config: ServeConfig) -> str | None:
    """Raises InputError for the name of a variable that is not set: escalations would tell nobody."""
    url = config.guard.webhook
    if url and url.startswith("$"):
        return from_environment(url[1:], "set it to the URL of --webhook")
    return url or None


def _name(config: ServeConfig) -> str:
    kind, name, _ = read_spec(config.roles.policy)
    model = name.partition("@")[0].rstrip("/")
    return (model if kind == "server" else model.rpartition("/")[2]) or kind


def _facts(config: ServeConfig, constitution: Constitution, models: Roles) -> dict[str, Any]:
    return {
        "constitution": {
            "name": constitution.name,
            "version": constitution.version,
            "hash": constitution.content_hash,
        },
        "models": models.specs,
        "guard": config.guard.model_dump(mode="json", exclude={"webhook"}),
        "versions": versions(),
    }


def _check_installed() -> None:
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise missing("solon serve", str(error.name), "serve") from error
    del starlette, uvicorn
