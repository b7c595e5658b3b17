"""`solon guard`: stop a guard, reset its breaker, verify its log, make a key."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.commands.options import CommandLine

__all__ = ["app"]

app = CommandLine(help="Stop, reset and check what `solon serve` serves.", no_args_is_help=True)

_SECONDS = 10
Url = Annotated[str, typer.Argument(help="Where the guard listens.")]
By = Annotated[str, typer.Option("--by", help="Who does it: it is written into the log.")]
KeyEnv = Annotated[
    str, typer.Option("--admin-key-env", help="Variable that holds the admin's key.")
]
_URL, _KEY_ENV = "http://127.0.0.1:8080", "SOLON_ADMIN_KEY"


@app.command()
def stop(by: By, url: Url = _URL, admin_key_env: KeyEnv = _KEY_ENV) -> None:
    """Have every answer be the fallback, at once and until a person resets it."""
    typer.echo(_told(_asked(url, "stop", admin_key_env, by)))


@app.command()
def reset(by: By, url: Url = _URL, admin_key_env: KeyEnv = _KEY_ENV) -> None:
    """Close the breaker, so that the model answers again."""
    typer.echo(_told(_asked(url, "reset", admin_key_env, by)))


@app.command()
def state(url: Url = _URL, admin_key_env: KeyEnv = _KEY_ENV) -> None:
    """Say whether it answers, and what the last line of its log is."""
    found = _asked(url, "state", admin_key_env)
    typer.echo(f"{_told(found)}\nlast line of the log: {found.get('head')}")


@app.command()
def verify(
    directory: Annotated[Path, typer.Argument(help="The guard's directory.")],
    head: Annotated[
        str | None,
        typer.Option(help="A last line that was kept elsewhere, as `solon guard state` prints it."),
    ] = None,
) -> None:
    """Find lines of the log that were removed, added or changed.

    Exits 1 if there are any.
    """
    from engine.guard.audit import verify_chain

    chain = verify_chain(directory, _head(head) if head else None)
    for problem in chain.problems:
        typer.echo(str(problem))
    if chain.problems:
        raise typer.Exit(1)
    typer.echo(f"{chain.lines:,} lines, unbroken, up to {chain.head}")


@app.command()
def key() -> None:
    """Make a key: the first line is for whoever asks, the second for a file of tenants."""
    from engine.guard.tenants import hashed_key, new_key

    made = new_key()
    typer.echo(f"{made}\n{hashed_key(made)}")


def _head(text: str) -> Any:
    from constitution.problems import InputError, Problem
    from engine.guard.audit import Head

    number, _, hashed = text.partition(":")
    if not number.isdigit() or not hashed:
        raise InputError(Problem("--head", f"{text!r} is not NUMBER:HASH"))
    return Head(int(number), hashed)


def _told(state: dict[str, Any]) -> str:
    return f"stopped: {state.get('why')}" if state.get("open") else "answering"


def _asked(url: str, what: str, key_env: str, by: str = "") -> dict[str, Any]:
    """The state after it. Raises InputError where the guard does not do it."""
    from urllib.error import HTTPError

    from constitution.problems import InputError, Problem
    from engine.environment import from_environment
    from engine.fetching import fetched_json

    key = from_environment(key_env, "set it to the admin's key")
    base = url.rstrip("/").removesuffix("/v1")
    asked = f"{base}/admin/{what}"
    headers = {"Authorization": f"Bearer {key}"}
    try:
        found = fetched_json(asked, headers=headers, seconds=_SECONDS, body={"by": by})
    except HTTPError as error:
        told = error.read(2000).decode("utf-8", "replace")
        raise InputError(Problem(url, f"refuses to {what}: {told}")) from error
    except (OSError, ValueError) as error:
        raise InputError(Problem(url, f"does not answer ({error})", "is it running?")) from error
    if not isinstance(found, dict):
        raise InputError(Problem(url, "does not answer as a guard does", "name its address"))
    return found
