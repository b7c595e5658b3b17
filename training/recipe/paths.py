"""Where the files and models that a recipe names are, and which generators serve its models."""

import importlib.util
import os
from pathlib import Path

from constitution.loader import load_constitution, shipped_constitutions
from engine.generators.fingerprint import fingerprint_model
from engine.generators.spec import open_generator
from engine.input_files import NamedFile
from engine.runs.config import RoleSpecs
from engine.settings import for_stakeholder
from training.recipe.schema import Recipe

__all__ = ["RecipePaths", "content", "fingerprint_of"]

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
        """A file that a section names; a model that is not there is a hub's name."""
        path = self.path(file.name)
        return path if not file.mark.or_name or Path(path).exists() else file.name

    def spec(self, model: str, *, revising: bool = False) -> str:
        """The generator of a model: vLLM or transformers, as the recipe's `engine` says.

        On a CPU vLLM is worth its start for the revisions and for an evaluation (`revising`), in
        which one engine serves all models.
        """
        engine = self._recipe.engine
        if engine == "auto":
            on_cpu = revising and importlib.util.find_spec("vllm") is not None
            engine = "vllm" if self._has_gpu or on_cpu else "transformers"
        if model == "embedded" and engine == "transformers":
            return "embedded?backend=transformers"
        options = self._recipe.engine_options if engine == "vllm" else {}
        query = "&".join(f"{key}={str(value).lower()}" for key, value in options.items())
        spec = "embedded" if model == "embedded" else f"{engine}:{model}"
        return f"{spec}?{query}" if query else spec

    def roles(self, *, revising: bool = False) -> RoleSpecs:
        """The base model and the others of the recipe in their roles."""
        recipe = self._recipe
        template = recipe.chat_template and self.path(recipe.chat_template)
        return RoleSpecs(
            policy=self.spec(self.base, revising=revising),
            chat_template=template,
            critic=recipe.critic,
            reviser=recipe.reviser,
            judge=recipe.judge,
        )

    @property
    def judge(self) -> str:
        """The judge's spec."""
        return self.roles().specs["judge"]

    @property
    def base_identity(self) -> dict[str, str]:
        """What a stage that reads the base model depends on."""
        return {"model": fingerprint_of(self.spec(self.base))}


def content(file: NamedFile) -> Path | str:
    """What a stage reads of a file that its configuration names: the file, a model's fingerprint,
    or the name of what is not on this machine."""
    if file.name.startswith("hf:"):
        return file.name
    return fingerprint_model(file.name) if file.mark.or_name else Path(file.name)
