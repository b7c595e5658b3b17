"""Several arms of a recipe: where each starts, what they share, what each may spend."""

from pathlib import Path

import pytest

from training.recipe.plan import stages_of
from training.recipe.schema import load_recipe

OUT = Path("/out")
ARMS = ("rloo", "grpo", "ppo", "dpo", "kto")


@pytest.fixture
def stages():
    recipe, file = load_recipe("rlhf-vs-dpo")
    return {stage.name: stage.config or {} for stage in stages_of(recipe, file, OUT)}


def test_arms_start_from_one_sft_and_share_a_reward_model(stages):
    trained = ["rloo-reward-model", *ARMS]
    assert [name for name in stages if name in trained or "reward" in name] == trained
    assert {stages[name]["model"] for name in trained} == {str(OUT / "sft" / "model")}
    for arm in ("rloo", "grpo", "ppo"):
        assert stages[arm]["rewards"][0]["reward_model"] == [str(OUT / "rloo-reward-model")]
    assert list(stages["evaluate"]["models"]) == ["base", "sft", *trained[1:]]


def test_a_reward_model_is_in_the_budget_of_each_arm_that_uses_it(stages):
    budgets = {name: stages[name]["budget"] for name in ARMS}
    after = {name: budget.pop("after") for name, budget in budgets.items()}
    assert after["rloo"] == after["grpo"] == after["ppo"] == [str(OUT / "rloo-reward-model")]
    assert after["dpo"] == after["kto"] == []
    assert len({str(budget) for budget in budgets.values()}) == 1
