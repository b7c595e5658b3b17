"""Every shipped recipe fits the machine that its comment names, and says what it takes."""

import re
from pathlib import Path

import pytest

from constitution.problems import InputError
from engine.sizing.gpus import read_machine
from engine.sizing.sized import Sizes
from engine.sizing.stages import refuse_unfit
from tests.engine.sizing.published import fill_cache
from training.recipe.plan import stages_of
from training.recipe.resources import Resources
from training.recipe.schema import load_recipe, shipped_recipes

MACHINE = re.compile(r"\(([\w-]+GB(?: x\d+)?)\)")
LOADS = {
    "revise",
    "sft",
    "label",
    "label-1",
    "label-2",
    "dpo",
    "dpo-1",
    "dpo-2",
    "grpo",
    "rloo",
    "ppo",
    "kto",
    "reward-model",
    *(f"reward-model-seed{number}" for number in range(3)),
    "rloo-reward-model",
    "evaluate",
}


def named_machine(name):
    _, file = load_recipe(name)
    comment = [line for line in Path(file).read_text("utf-8").splitlines() if line.startswith("#")]
    named = MACHINE.search("\n".join(comment))
    return read_machine(named[1]) if named else None


def resources(name, machine, out, sizes=None):
    recipe, file = load_recipe(name)
    names = [stage.name for stage in stages_of(recipe, file, out)]
    return Resources(recipe, file, out, sizes or Sizes(), machine).of(names)


@pytest.mark.parametrize("cached", [True, False], ids=["by configuration", "by name"])
@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_fits_the_machine_it_names(name, cached, tmp_path, monkeypatch):
    if cached:
        fill_cache(tmp_path / "hub", monkeypatch)
    machine = named_machine(name)
    assert machine or "CPU" in name.upper(), "the comment names a machine, as (H100-80GB x8)"
    sizes = Sizes()
    found = resources(name, machine, tmp_path / "out", sizes)
    refuse_unfit(found, machine)
    assert [str(model) for model in sizes.found.values() if model.shape is None] == []
    assert {each.stage for each in found} <= LOADS and len(found) >= 4
    assert not any(n.startswith("not counted") for each in found for n in each.need.notes)
    if machine:
        assert all(each.hours and 0.001 < each.hours < 100 for each in found)


def test_the_judges_gpu_is_mentioned(tmp_path, monkeypatch):
    fill_cache(tmp_path / "hub", monkeypatch)
    found = resources("grpo-judge", named_machine("grpo-judge"), tmp_path / "out")
    notes = {each.stage: each.need.notes for each in found}
    assert "localhost:8000 with Qwen/Qwen2.5-7B-Instruct, 14.2 GiB" in str(notes["grpo"])


def test_what_is_trained_is_as_large_as_what_it_starts_as(tmp_path, monkeypatch):
    fill_cache(tmp_path / "hub", monkeypatch)
    found = {e.stage: e for e in resources("single-gpu-7b", None, tmp_path / "out")}
    assert found["dpo-2"].need.parts["frozen weights"] == 2 * 7_615_616_512
    assert len(found["label-1"].need.parts) == 2, "policy and judge at once"
    assert len(found["evaluate"].need.parts) == 1, "one model after another"
    assert all(each.hours is None for each in found.values())


def test_each_stage_that_does_not_fit_has_a_line(tmp_path, monkeypatch):
    fill_cache(tmp_path / "hub", monkeypatch)
    machine = read_machine("L4 x8")
    with pytest.raises(InputError) as error:
        refuse_unfit(resources("eight-gpu-fsdp", machine, tmp_path / "out"), machine)
    assert [problem.where for problem in error.value.problems] == [
        "sft",
        "label-1",
        "dpo-1",
        "label-2",
        "dpo-2",
    ]
    assert all("fits with " in str(problem) for problem in error.value.problems)
