"""Where the files and models that a recipe names are, and which generators serve its models."""

import importlib.util
import os
from collections import ChainMap
from pathlib import Path
from typing import Final

from constitution.loader import load_constitution, shipped_constitutions
from engine.generators.fingerprint import fingerprint_model
from engine.generators.spec import open_generator, read_spec, with_options
from engine.input_files import NamedFile
from engine.prompts.files import named_sources, source_parts
from engine.runs.config import RoleSpecs
from engine.settings import fill_roles, for_stakeholder
from training.recipe.schema import Recipe
from training.recipe.stage import digest_of

__all__ = ["RecipePaths", "content", "fingerprint_of"]

_OTHER: Final = "transformers"
_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")


def fingerprint_of(spec: str) -> str:
    """The identity of what a spec names."""
    return open_generator(spec).fingerprint


class RecipePaths:
    """A recipe's paths, as paths from the current folder; models as specs.

    Raises InputError for a constitution that cannot be read, or that lacks the stakeholder.
    """

    def __init__(self, recipe: Recipe, file: Path) -> None:
        self._recipe = recipe
        self._folder = file.parent
        self._has_gpu = any(Path(device).exists() for device in _GPU_DEVICES)
        named = recipe.constitution
        self.constitution = named if named in shipped_constitutions() else self.path(named)
        rules = for_stakeholder(load_constitution(self.constitution), recipe.stakeholder)
        self.rules = rules.content_hash
        here = Path(self.path(recipe.model))
        self.base = str(here) if here.is_dir() else recipe.model.removeprefix("hf:")

    def path(self, name: str) -> str:
        """A file of the recipe, or hf:NAME."""
        if name.startswith("hf:"):
            return name
        path = Path(name).expanduser()
        return name if path.is_absolute() else os.path.relpath(self._folder / path)

    def located(self, file: NamedFile) -> str:
        """A file that a section names, or several; a model that is not there is a hub's name."""
        if file.mark.several:
            return ",".join(map(self.path, source_parts(file.name, self._folder)))
        path = self.path(file.name)
        return path if not file.mark.or_name or Path(path).exists() else file.name

    def spec(self, model: str, stage: str, *, revising: bool = False) -> str:
        """The generator of a model that is trained, in a stage: vLLM or transformers, as the
        recipe's `engine` says.

        On a CPU vLLM is worth its start for the revisions and for an evaluation (`revising`), in
        which one engine serves all models.
        """
        return self.placed(self._own(model, revising=revising), stage, "policy")

    def roles(self, stage: str, *, revising: bool = False) -> RoleSpecs:
        """The base model and the others of the recipe in their roles, each with its options."""
        recipe = self._recipe
        base = self._own(self.base, revising=revising)
        played = fill_roles(base, recipe.critic, recipe.reviser, recipe.judge)
        placed = {role: self.placed(spec, stage, role) for role, spec in played.items()}
        others: dict[str, str] = {}
        for role in ("critic", "reviser", "judge"):
            falls_to = fill_roles(placed["policy"], others.get("critic"), None, None)[role]
            if getattr(recipe, role) is not None or placed[role] != falls_to:
                others[role] = placed[role]
        template = recipe.chat_template and self.path(recipe.chat_template)
        return RoleSpecs(policy=placed["policy"], chat_template=template, **others)

    def placed(self, spec: str, stage: str, role: str) -> str:
        """A spec with the engine options for where it stands, if it is one of vLLM."""
        places = (stage, role, f"{stage}.{role}") if read_spec(spec).in_vllm else ()
        named = self._recipe.engine_options_for
        return with_options(spec, ChainMap(*(named.get(place, {}) for place in places[::-1])))

    def _own(self, model: str, *, revising: bool) -> str:
        """The spec of a model that is trained, wherever it stands."""
        engine = self._recipe.engine
        if engine == "auto":
            on_cpu = revising and importlib.util.find_spec("vllm") is not None
            engine = "vllm" if self._has_gpu or on_cpu else _OTHER
        spec = "embedded" if model == "embedded" else f"{engine}:{model}"
        if engine == "vllm":
            return with_options(spec, self._recipe.engine_options)
        return f"{spec}?backend={engine}" if model == "embedded" else spec

    @property
    def base_identity(self) -> dict[str, str]:
        """What a stage that reads the base model depends on."""
        return {"model": fingerprint_of(self._own(self.base, revising=False))}


def content(file: NamedFile) -> Path | str:
    """What a stage reads of a file that its configuration names: the file, or the content of several,
    a model's fingerprint, or the name of what is not on this machine."""
    if file.name.startswith("hf:"):
        return file.name
    names = named_sources(file.name) if file.mark.several else (file.name,)
    if len(names) > 1:
        return " ".join(n if n.startswith("hf:") else digest_of(Path(n)) for n in names)
    if file.mark.several:
        return names[0] if names[0].startswith("hf:") else Path(names[0])
    return fingerprint_model(file.name) if file.mark.or_name else Path(file.name)
