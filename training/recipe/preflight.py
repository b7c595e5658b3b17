"""The servers of a recipe, asked before its first stage spends anything on them."""

from pathlib import Path

from engine.generators.base import Generator
from engine.generators.preflight import Preflight, Task
from engine.generators.spec import kind_of, open_generator
from training.recipe.paths import RecipePaths
from training.recipe.schema import Recipe

__all__ = ["preflight_of_recipe"]


def preflight_of_recipe(recipe: Recipe, file: Path) -> Preflight:
    """What each server of the recipe will be asked for. The judge of the evaluation judges as well.

    Raises InputError as `open_generator` does.
    """
    named = RecipePaths(recipe, file).roles("revise").specs
    tasks = {spec: Task(writes=True) for role, spec in named.items() if role != "judge"}
    rewarding = (reward.judge for reward in recipe.rewards)
    for spec in filter(None, (named["judge"], recipe.evaluate.judge, *rewarding)):
        tasks[spec] = tasks.get(spec, Task()) | Task(judges=True)
    servers = {spec: task for spec, task in tasks.items() if kind_of(spec) == "server"}
    asked: dict[Generator, Task] = {open_generator(spec): task for spec, task in servers.items()}
    return Preflight(asked)
