"""Starting garak, a red-teaming tool, against an OpenAI-compatible server.

garak needs an environment of its own, so it is a program that is started, not a package that is imported.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from constitution.problems import InputError, Problem
from engine.fetching import fetched_json
from training.evaluation.harness.garak import read_garak

__all__ = ["KEY", "garak_command", "model_at", "scan"]

KEY = "OPENAICOMPATIBLE_API_KEY"
"""The variable in which garak looks for the server's key."""
_SECONDS = 30
_GENERATOR = "openai.OpenAICompatible"


def scan(
    url: str,
    model: str,
    reports: Path,
    *,
    probes: str | None = None,
    generations: int = 5,
) -> list[dict[str, Any]]:
    """Run garak to its end, its output on this terminal and its reports beginning with `reports`;
    the rows that `read_garak` makes of them.

    Raises InputError where garak is not installed, ends with an error, or reports nothing.
    """
    program = shutil.which("garak")
    if program is None:
        remedy = "install it in an environment of its own: uv tool install garak"
        raise InputError(Problem("garak", "is not installed", remedy))
    reports.parent.mkdir(parents=True, exist_ok=True)
    command = garak_command(program, url, model, reports.resolve(), probes, generations)
    ended = subprocess.run(command, env={KEY: "none", **os.environ}, check=False)
    if ended.returncode:
        what = f"ended with exit code {ended.returncode}"
        raise InputError(Problem("garak", what, "see what it printed above"))
    return read_garak(Path(f"{reports}.report.jsonl"))


def garak_command(
    program: str, url: str, model: str, reports: Path, probes: str | None, generations: int
) -> Sequence[str]:
    """The words of a command line. garak's own stop texts, `#` and `;`, would cut chat answers short."""
    package, name = _GENERATOR.split(".")
    options = {package: {name: {"uri": f"{url.rstrip('/')}/", "stop": []}}}
    words = [program, "--target_type", _GENERATOR, "--target_name", model]
    words += ["--generator_options", json.dumps(options), "--report_prefix", str(reports)]
    words += ["--generations", str(generations)]
    return [*words, "--probes", probes] if probes else words


def model_at(url: str, key: str | None = None) -> str:
    """The first model that a server lists. Raises InputError where nobody answers, or with no list."""
    where = f"{url.rstrip('/')}/models"
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if not url.startswith(("http://", "https://")):
        remedy = "name it as `solon serve` prints it: http://127.0.0.1:8080/v1"
        raise InputError(Problem(url, "is no address of a server", remedy))
    try:
        model = fetched_json(where, headers=headers, seconds=_SECONDS)["data"][0]["id"]
        if isinstance(model, str):
            return model
        raise TypeError("its id is not a text")
    except OSError as error:
        remedy = f"start `solon serve` there; a key goes into {KEY}"
        raise InputError(Problem(where, f"does not answer ({error})", remedy)) from error
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(Problem(where, "lists no model", "name it with --model")) from error
