"""What a recipe sends out, and what it needs a permission for, known before anything is loaded."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from constitution.loader import (
    constitution_files,
    constitution_path,
    load_constitution,
    load_for_judging,
)
from constitution.permissions import PYTHON_CHECKS, Need, marked, needs_of, refused
from constitution.problems import InputError
from constitution.typed_yaml import Settings, read_yaml_file
from constitution.yaml_source import Location
from engine.environment import hub_home
from engine.generators.servers.endpoint import key_sent_to
from engine.generators.spec import read_spec
from engine.generators.spec_needs import MODEL_SPEC, host_of, keys_of, specs_in, urls_of
from engine.input_files import named_files
from engine.prompts.hub import HUB, read_hub_name
from engine.settings import Tracker
from training.recipe.launcher import launcher_hosts, launcher_needs
from training.recipe.paths import RecipePaths
from training.recipe.schema import Recipe, trainer_sections
from training.trainers.reward_config import RECIPES_OWN

__all__ = ["Contact", "Outbound", "outbound", "refuse_unpermitted"]

_HUB = "https://huggingface.co"
_WANDB = "https://api.wandb.ai"


@dataclass(frozen=True, slots=True)
class Contact:
    """A host (and port) that the recipe's stages talk to, the keys of the recipe that say so, and
    what is sent there that is secret: `$NAME` of environment variables, and stored logins."""

    host: str
    settings: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outbound:
    """Whom a recipe talks to, what it needs a permission for, and which files it reads that are not
    in its own folder."""

    contacts: tuple[Contact, ...]
    needs: tuple[Need, ...]
    files: tuple[str, ...]


def outbound(recipe: Recipe, file: Path) -> Outbound:
    """What the recipe in `file` sends out and asks for.

    Of a model, a data set or a task that is not on this machine, the host is the hub's; whether it
    is already in the hub's cache is not looked up. Raises InputError for a constitution or a
    configuration of accelerate that cannot be read.
    """
    return _Reading(recipe, file).outbound()


def refuse_unpermitted(recipe: Recipe, file: Path, sent: Outbound) -> None:
    """Raise InputError for each thing that the recipe needs a permission for and has none, and for
    Python checks that cannot be imported."""
    problems = refused(sent.needs, read_yaml_file(file).where)
    if problems:
        raise InputError(problems)
    load_for_judging(RecipePaths(recipe, file).constitution)


@dataclass(frozen=True, slots=True)
class _Sent:
    host: str
    setting: str
    keys: Sequence[str] = ()


class _Reading:
    def __init__(self, recipe: Recipe, file: Path) -> None:
        self._recipe = recipe
        self._folder = file.parent
        self._paths = RecipePaths(recipe, file)
        sections = [((name,), config) for name, config in trainer_sections(recipe)]
        self._parts: list[tuple[Location, Settings]] = [((), recipe), *sections]
        self._launcher = recipe.accelerate and Path(self._paths.path(recipe.accelerate))

    def outbound(self) -> Outbound:
        found: dict[str, list[_Sent]] = {}
        for sent in [*self._to_servers(), *self._to_the_hub(), *self._to_others()]:
            found.setdefault(sent.host, []).append(sent)
        contacts = (
            Contact(
                host,
                tuple(dict.fromkeys(sent.setting for sent in group)),
                tuple(dict.fromkeys(name for sent in group for name in sent.keys)),
            )
            for host, group in found.items()
        )
        return Outbound(tuple(contacts), tuple(self._needs()), tuple(self._outside()))

    def _needs(self) -> Iterator[Need]:
        for at, settings in self._parts:
            yield from needs_of(settings, at)
        if self._launcher:
            yield from launcher_needs(self._launcher)
        for principle in load_constitution(self._paths.constitution).principles:
            if principle.check and principle.check.python:
                what = f"would run {principle.check.python}, to check {principle.id}"
                yield Need(PYTHON_CHECKS, what, ("constitution",))

    def _specs(self) -> Iterator[tuple[str, str]]:
        """Each model spec of the recipe, with its key."""
        for at, settings in self._parts:
            for location, mark, value in marked(settings, at):
                for key, spec in (
                    specs_in(value) if mark is MODEL_SPEC and value != RECIPES_OWN else ()
                ):
                    yield _key((*location, *key)), spec

    def _to_servers(self) -> Iterator[_Sent]:
        for key, spec in self._specs():
            kind, name, options = read_spec(spec)
            for url in urls_of(name) if kind == "server" else ():
                if host := host_of(url):
                    yield _Sent(host, key, _keys(options, url))

    def _to_the_hub(self) -> Iterator[_Sent]:
        host, login = _host_in("HF_ENDPOINT", _HUB), _hub_login()
        for key in dict.fromkeys(self._from_the_hub()):
            yield _Sent(host, key, login)

    def _from_the_hub(self) -> Iterator[str]:
        """Keys that name something on a hub, or send something there."""
        recipe = self._recipe
        if recipe.model != "embedded" and not Path(self._paths.base).is_dir():
            yield "model"
        for key, spec in self._specs():
            kind, name, options = read_spec(spec)
            names = [name] if kind in ("vllm", "transformers") else []
            if not all(map(_is_here, [*names, options.get("tokenizer", ".")])):
                yield key
        by_place = recipe.engine_options_for.items()
        by_key = {f"engine_options_for.{place}": options for place, options in by_place}
        for key, options in {"engine_options": recipe.engine_options, **by_key}.items():
            if not _is_here(options.get("tokenizer", ".")):
                yield f"{key}.tokenizer"
        for at, settings in self._parts:
            for file in named_files(settings):
                named = file.mark.or_name and not Path(self._paths.path(file.name)).exists()
                if named or file.name.startswith("hf:"):
                    yield _key((*at, *file.location))
        for asked in ("lm_eval", "suites"):
            if getattr(recipe.evaluate, asked):
                yield f"evaluate.{asked}"
        for name, trainer in trainer_sections(recipe):
            if trainer.push_to_hub:
                yield f"{name}.push_to_hub"
        if recipe.report_to == "trackio" and os.environ.get("TRACKIO_SPACE_ID"):
            yield "report_to"

    def _to_others(self) -> Iterator[_Sent]:
        yield from _to_the_tracker(self._recipe.report_to)
        for name, trainer in trainer_sections(self._recipe):
            if server := getattr(trainer, "vllm_server", None):
                yield _Sent(host_of(server), f"{name}.vllm_server")
        for host in launcher_hosts(self._launcher) if self._launcher else ():
            yield _Sent(host, "accelerate")

    def _outside(self) -> Iterator[str]:
        own = (self._folder.resolve(), constitution_path("base").parent.resolve())
        names = [file.name for _, settings in self._parts for file in named_files(settings)]
        paths = [
            read_hub_name(name).name if name.startswith(HUB) else self._paths.path(name)
            for name in names
        ]
        paths += [self._paths.base, *map(str, constitution_files(self._paths.constitution))]
        for path in dict.fromkeys(paths):
            resolved = Path(path).resolve()
            if resolved.exists() and not any(resolved.is_relative_to(folder) for folder in own):
                yield path


def _keys(options: Mapping[str, Any], url: str) -> list[str]:
    """What a server is sent: its key, and what the headers name."""
    headers = options.get("headers")
    headers = headers if isinstance(headers, Mapping) else {}
    named = options.get("key_env")
    key = key_sent_to(url, key_env=None if named is None else str(named), headers=headers)
    found = [key, *keys_of({"headers": headers})]
    return [f"${name}" for name in dict.fromkeys(filter(None, found))]


def _to_the_tracker(tracker: Tracker) -> Iterator[_Sent]:
    """Weights & Biases unless it is offline; MLflow where its tracking server is another machine."""
    if tracker == "wandb" and os.environ.get("WANDB_MODE") not in ("offline", "disabled"):
        keys = _set("WANDB_API_KEY") or ("the stored login",)
        yield _Sent(_host_in("WANDB_BASE_URL", _WANDB), "report_to", keys)
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if tracker == "mlflow" and server.startswith(("http://", "https://")):
        keys = _set("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
        yield _Sent(host_of(server), "report_to", keys)


def _is_here(name: object) -> bool:
    return Path(str(name)).expanduser().exists()


def _key(location: Location) -> str:
    return ".".join(map(str, location)).removesuffix(".file")


def _set(*variables: str) -> tuple[str, ...]:
    """Those of them that have a value, as `$NAME`."""
    return tuple(f"${name}" for name in variables if os.environ.get(name))


def _hub_login() -> Sequence[str]:
    """What the hub's own client would send: a variable, or what `hf auth login` has stored."""
    if found := _set("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        return found
    stored = Path(os.environ.get("HF_TOKEN_PATH") or hub_home() / "token").expanduser()
    return ("the stored login",) if stored.is_file() else ()


def _host_in(variable: str, default: str) -> str:
    return host_of(os.environ.get(variable) or default)
