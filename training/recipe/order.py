"""What is wrong with the steps of a recipe as a whole, said before any of them runs."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from constitution.yaml_source import Location
from training.recipe.steps import ON_PREFERENCES, ONLINE, Step
from training.trainers.reward_config import RECIPES_OWN

if TYPE_CHECKING:
    from training.recipe.schema import Recipe

__all__ = ["misordered"]

Misorder = tuple[Location, str, str]
"""The key, what is wrong, and the remedy."""


def misordered(recipe: "Recipe") -> Iterator[Misorder]:
    """Steps in an order that makes no sense, rounds of what is made once, and what no step makes."""
    if recipe.rlaif and (recipe.train or recipe.arms):
        yield ("rlaif",), "rlaif is said beside `train` or `arms`", "take it out"
    if not (recipe.prompts or recipe.preferences or recipe.demonstrations):
        yield (), "`prompts` is missing", "name a file of prompts, or of `preferences`"
    if recipe.value_header and recipe.stakeholder is None:
        yield ("value_header",), "no stakeholder is named", "say `stakeholder:` at the top"
    if recipe.value_header and recipe.rounds > 1:
        what = "labels of later rounds draw other stakeholders than the headers name"
        yield ("value_header",), what, "take rounds out"
    for name, steps in recipe.branches.items():
        chain = (*recipe.trunk, *steps)
        at: Location = ("arms", name) if name else ("train",) if recipe.train else ()
        if told := _why_not(chain):
            yield at, *told
        if recipe.rounds > 1 and (once := _why_once(recipe, steps)):
            yield ("rounds",), f"rounds is {recipe.rounds}; {once}", "take rounds out"
        for key in _own_reward_models(recipe, chain):
            remedy = "put reward-model before it, or name a directory"
            yield key, "no step trains the recipe's reward model", remedy


def _own_reward_models(recipe: "Recipe", chain: Sequence[Step]) -> Iterator[Location]:
    """Keys that mean the recipe's reward model in a chain that has not trained it when they are read."""
    own = any(reward.reward_model == RECIPES_OWN for reward in recipe.rewards)
    if own and "reward-model" not in chain and not ONLINE.isdisjoint(chain):
        yield ("rewards",)
    own = "ppo" in chain and recipe.ppo.get("value_model") == RECIPES_OWN
    if own and "reward-model" not in chain[: chain.index("ppo")]:
        yield "ppo", "value_model"


def _why_not(chain: Sequence[Step]) -> tuple[str, str] | None:
    """What is wrong with the order of steps that follow each other from the base model on."""
    twice = next((step for step in chain if chain.count(step) > 1), None)
    if twice:
        return f"{twice} is there twice", "use `rounds`, or arms"
    if "sft" in chain[1:]:
        return "sft would undo what is trained before it", "put it first"
    return None


def _why_once(recipe: "Recipe", steps: Sequence[Step]) -> str | None:
    """Why these steps cannot have several rounds."""
    if ON_PREFERENCES.isdisjoint(steps):
        name = next((step.upper() for step in steps), "SFT")
        return f"{name} samples and judges while it trains, once"
    if recipe.preferences and not recipe.preferences.with_judge:
        return "people's preferences are the same in each round"
    return None
