"""Where the files and models that a recipe names are, and which generators serve its models."""

import importlib.util
import os
from pathlib import Path

from constitution.loader import load_constitution, shipped_constitutions
from constitution.problems import InputError, Problem
from engine.generators.spec import open_generator
from training.recipe.schema import Prompts, Recipe

__all__ = ["RecipePaths", "fingerprint_of"]

_GPU_DEVICES = ("/dev/nvidiactl", "/dev/kfd")


def fingerprint_of(spec: str) -> str:
    """The identity of what a spec names."""
    return open_generator(spec).fingerprint


class RecipePaths:
    """A recipe's paths, seen from its folder, as seen from the current one; models as specs.

    Raises InputError for every file that the recipe names and that is not there, and for a
    constitution that is none.
    """

    def __init__(self, recipe: Recipe, file: Path) -> None:
        self._recipe = recipe
        self._folder = file.parent
        self._has_gpu = any(Path(device).exists() for device in _GPU_DEVICES)
        self._check_files(file)
        named = recipe.constitution
        self.constitution = named if named in shipped_constitutions() else self.path(named)
        self.rules = load_constitution(self.constitution).content_hash
        here = Path(self.path(recipe.model))
        self.base = str(here) if here.is_dir() else recipe.model.removeprefix("hf:")

    def path(self, name: str) -> str:
        """A file of the recipe, or hf:NAME."""
        if name.startswith("hf:"):
            return name
        path = Path(name).expanduser()
        return name if path.is_absolute() else os.path.relpath(self._folder / path)

    def content(self, name: str) -> Path | str:
        """The same as what a stage reads: a file, or the name where it is not on this machine."""
        return name if name.startswith("hf:") else Path(self.path(name))

    def spec(self, model: str, *, revising: bool = False) -> str:
        """The generator of a model: vLLM or transformers, as the recipe's `engine` says."""
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

    def evaluated(self, model: str) -> str:
        """The generator of a model to evaluate: one engine serves them all, so vLLM's is worth its
        start."""
        return self.spec(model, revising=True)

    @property
    def judge(self) -> str:
        """The judge's spec."""
        return self._recipe.judge or self.spec(self.base)

    @property
    def base_identity(self) -> dict[str, str]:
        """What a stage that reads the base model depends on."""
        return {"model": fingerprint_of(self.spec(self.base))}

    @property
    def judge_identity(self) -> dict[str, str]:
        """What a stage that asks the judge depends on."""
        return {"judge": fingerprint_of(self.judge)}

    def _check_files(self, file: Path) -> None:
        recipe = self._recipe
        named = [recipe.prompts.file, *([recipe.accelerate] if recipe.accelerate else [])]
        named += [recipe.held_out.file] if isinstance(recipe.held_out, Prompts) else []
        named += [recipe.helpful.file] if recipe.helpful else []
        here = {name: self.content(name) for name in named}
        missing = [
            name for name, path in here.items() if isinstance(path, Path) and not path.exists()
        ]
        if missing:
            remedy = f"paths are seen from {file.parent}"
            raise InputError(Problem(str(file), f"there is no {name}", remedy) for name in missing)
