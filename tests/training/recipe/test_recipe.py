"""Recipes: what is wrong in one is told at once, and only what has changed is run again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from constitution.loader import load_constitution
from constitution.problems import InputError
from engine.generators.spec import read_spec
from training.recipe.plan import stages_of
from training.recipe.schema import load_recipe, shipped_recipes
from training.recipe.stage import StageFailed, run_stages

CONSTITUTION = """
name: rules
principles:
  - {id: kind, statement: The assistant is kind.}
  - {id: honest, statement: The assistant is honest.}
"""
RECIPE = """
name: tiny
constitution: rules.yaml
prompts: prompts.jsonl
held_out: 0.25
helpful: {file: helpful.jsonl, ratio: 0.5}
model: embedded
rounds: 2
sft: {epochs: 1}
"""
NAMES = (
    "split revise report sft-data sft label-1 preferences-1 dpo-1 label-2 preferences-2 dpo-2 evaluate"
).split()


class FakeRunner:
    """Stands in for the commands: leaves what each stage would, made of what the stage read."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, list[str]]] = []
        self.codes: dict[str, int] = {}
        self.dies_in: str | None = None

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.ran]

    def __call__(self, stage, command):
        self.ran.append((stage.name, command))
        if stage.name == self.dies_in:
            raise SystemExit("killed")
        code = self.codes.get(stage.name, 0)
        if code not in (0, 1):
            return code
        for file in stage.product:
            file.parent.mkdir(parents=True, exist_ok=True)
            read = [path.read_text("utf-8") for path in stage.reads.values() if _is_file(path)]
            others = [value for value in stage.reads.values() if isinstance(value, str)]
            asked = [] if stage.name == "split" else [stage.config, stage.command]
            content = json.dumps([read, others, asked])
            manifest = {"complete": True, "content": content}
            text = json.dumps(manifest) if file.name == "manifest.json" else content
            file.write_text(text, encoding="utf-8")
        return code


def _is_file(value) -> bool:
    return isinstance(value, Path) and value.is_file()


class Kitchen:
    """A recipe in a folder of its own, and a way to run it again and again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.write("rules.yaml", CONSTITUTION)
        self.write("prompts.jsonl", '{"prompt": "Hello?"}\n')
        self.write("helpful.jsonl", '{"prompt": "2+2?", "completion": "4"}\n')
        self.write("recipe.yaml", RECIPE)
        self.told: list[str] = []

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def stages(self):
        recipe, file = load_recipe(self.folder / "recipe.yaml")
        return recipe, stages_of(recipe, file, self.out)

    def cook(self, run: FakeRunner | None = None) -> FakeRunner:
        run = run or FakeRunner()
        recipe, stages = self.stages()
        self.told = []
        self.code = run_stages(recipe, stages, self.out, run, self.told.append)
        return run

    def line(self, stage: str) -> str:
        return next(line for line in self.told if line.startswith(f"{stage}: "))


@pytest.fixture
def kitchen(tmp_path) -> Kitchen:
    return Kitchen(tmp_path)


# What is run again ------------------------------------------------------------------------------


def test_every_stage_runs_once_and_then_none(kitchen):
    assert kitchen.cook().names == NAMES
    again = kitchen.cook()
    assert not again.ran and kitchen.code == 0
    assert kitchen.told[-1] == "nothing to do: every stage is unchanged"
    assert kitchen.line("sft") == "sft: unchanged, skipped"


def test_an_edited_principle_updates_the_revisions_and_all_after_them(kitchen):
    kitchen.cook()
    kitchen.edit("rules.yaml", "is kind", "is always kind")
    run = kitchen.cook()
    assert run.names == [name for name in NAMES if name != "split"]
    assert kitchen.line("revise").endswith("again (constitution changed)")
    assert "--update" in dict(run.ran)["revise"]
    assert "revisions changed" in kitchen.line("sft-data")


def test_more_prompts_update_the_revisions(kitchen):
    kitchen.cook()
    kitchen.write("prompts.jsonl", '{"prompt": "Hello?"}\n{"prompt": "And now?"}\n')
    run = kitchen.cook()
    assert run.names[:2] == ["split", "revise"]
    assert kitchen.line("revise").endswith("again (prompts changed)")


def test_a_comment_in_the_constitution_changes_nothing(kitchen):
    kitchen.cook()
    kitchen.edit("rules.yaml", "name: rules", "name: rules  # as agreed in May")
    assert not kitchen.cook().ran


def test_a_setting_of_one_stage_runs_that_stage_and_those_after_it(kitchen):
    kitchen.cook()
    kitchen.edit("recipe.yaml", "epochs: 1", "epochs: 3")
    assert kitchen.cook().names == NAMES[NAMES.index("sft") :]
    assert kitchen.line("sft").endswith("(epochs: 1 -> 3)")


def test_a_stage_whose_outcome_is_the_same_stops_the_ripple(kitchen):
    """The prompts are written anew with the same content: nothing after them has changed."""
    kitchen.cook()
    kitchen.edit(
        "recipe.yaml", "prompts: prompts.jsonl", "prompts: {file: prompts.jsonl, limit: 9}"
    )
    assert kitchen.cook().names == ["split"]


def test_another_helpful_file_trains_again_but_does_not_revise_again(kitchen):
    kitchen.cook()
    kitchen.write("helpful.jsonl", '{"prompt": "3+3?", "completion": "6"}\n')
    assert kitchen.cook().names == NAMES[NAMES.index("sft-data") :]
    assert "helpful rows changed" in kitchen.line("sft-data")


def test_a_deleted_output_is_made_again(kitchen):
    kitchen.cook()
    (kitchen.out / "sft" / "manifest.json").unlink()
    assert kitchen.cook().names[0] == "sft"
    assert kitchen.line("sft").endswith("(its output was changed or deleted)")


def test_a_moved_directory_stays_finished(kitchen):
    kitchen.cook()
    moved = kitchen.folder / "elsewhere"
    kitchen.out.rename(moved)
    kitchen.out = moved
    assert not kitchen.cook().ran


# Interruption -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["revise", "sft", "dpo-2"])
def test_a_killed_pipeline_goes_on_where_it_was(kitchen, stage):
    first = FakeRunner()
    first.dies_in = stage
    with pytest.raises(SystemExit):
        kitchen.cook(first)
    (kitchen.out / stage).mkdir(exist_ok=True)
    (kitchen.out / stage / "checkpoint").write_text("half", encoding="utf-8")
    second = kitchen.cook()
    assert first.names[:-1] + second.names == NAMES
    assert "resumed" in kitchen.line(stage)
    assert (kitchen.out / stage / "checkpoint").exists(), "what was half done is taken up"


def test_what_was_made_with_other_settings_is_cleared_but_for_the_cache(kitchen):
    kitchen.cook()
    for name in ("records.old", "completions.sqlite"):
        (kitchen.out / "revise" / name).write_text("x", encoding="utf-8")
    kitchen.edit("recipe.yaml", "rounds: 2", "rounds: 2\nseed: 7")
    run = kitchen.cook()
    assert "revise" in run.names and "seed: 0 -> 7" in kitchen.line("revise")
    left = {path.name for path in (kitchen.out / "revise").iterdir()}
    assert left == {"completions.sqlite", "records.jsonl", "report.html"}


def test_workers_do_the_engines_stages_and_change_nothing_of_what_they_leave(kitchen):
    kitchen.cook()
    kitchen.edit("recipe.yaml", "rounds: 2", "rounds: 2\nworkers: {ray: auto, gpus: 1}")
    assert kitchen.cook().names == []
    for stage in kitchen.stages()[1]:
        if stage.name in ("revise", "label", "evaluate"):
            assert (stage.config["workers"]["ray"], stage.config["workers"]["gpus"]) == ("auto", 1)
    shard = kitchen.out / "revise" / "shards" / "1"
    shard.mkdir(parents=True)
    for name in ("records.jsonl", "completions.sqlite"):
        (shard / name).write_text("x", encoding="utf-8")
    kitchen.edit("recipe.yaml", "rounds: 2", "rounds: 2\nseed: 7")
    kitchen.cook()
    assert [path.name for path in shard.iterdir()] == ["completions.sqlite"]


def test_an_interrupted_stage_interrupts_the_pipeline(kitchen):
    run = FakeRunner()
    run.codes["sft"] = 130
    with pytest.raises(KeyboardInterrupt):
        kitchen.cook(run)
    assert run.names[-1] == "sft"


def test_a_failed_stage_stops_the_pipeline_with_its_exit_code(kitchen):
    run = FakeRunner()
    run.codes["label-1"] = 2
    with pytest.raises(StageFailed, match="label-1 ended with exit code 2") as stopped:
        kitchen.cook(run)
    assert stopped.value.exit_code == 2


def test_failures_of_a_stage_are_the_pipelines_too_also_when_it_is_skipped(kitchen):
    run = FakeRunner()
    run.codes["revise"] = 1
    kitchen.cook(run)
    assert run.names == NAMES and kitchen.code == 1
    kitchen.cook()
    assert kitchen.code == 1


def test_an_incomplete_manifest_is_no_success(kitchen):
    class Halfway(FakeRunner):
        def __call__(self, stage, command):
            code = super().__call__(stage, command)
            if stage.name == "sft":
                (stage.output / "manifest.json").write_text('{"complete": false}', "utf-8")
            return code

    with pytest.raises(StageFailed, match="sft ended"):
        kitchen.cook(Halfway())


# The right models -------------------------------------------------------------------------------


def test_each_round_starts_from_the_policy_that_was_judged(kitchen):
    _, stages = kitchen.stages()
    by_name = {stage.name: stage for stage in stages}
    sft, first = (str(kitchen.out / name / "model") for name in ("sft", "dpo-1"))
    assert by_name["dpo-1"].config["model"] == sft
    assert by_name["dpo-2"].config["model"] == first
    assert by_name["label-1"].config["roles"]["policy"] == f"transformers:{sft}"
    assert by_name["label-2"].config["roles"]["policy"] == f"transformers:{first}"
    for stage in ("dpo-1", "dpo-2"):
        assert "reference_model" not in by_name[stage].config, "the policy it starts from"
    seeds = [by_name[name].config["label"]["seed"] for name in ("label-1", "label-2")]
    assert seeds[0] != seeds[1], "a round draws other samples than the one before"


def test_engines_are_as_the_recipe_says(kitchen):
    kitchen.edit("recipe.yaml", "rounds: 2", "engine: vllm\nengine_options: {max_model_len: 512}")
    _, stages = kitchen.stages()
    models = stages[-1].config["models"]
    assert models["base"] == "embedded?max_model_len=512"
    assert models["sft"] == f"vllm:{kitchen.out}/sft/model?max_model_len=512"


def test_options_keep_their_letters_and_their_shape(kitchen):
    options = "{tokenizer: /Data/Tok, enforce_eager: true, cudagraph_sizes: {Max: [1, 2]}}"
    kitchen.edit("recipe.yaml", "rounds: 2", f"engine: vllm\nengine_options: {options}")
    _, stages = kitchen.stages()
    assert read_spec(stages[-1].config["models"]["sft"]).options == {
        "tokenizer": "/Data/Tok", "enforce_eager": True, "cudagraph_sizes": {"Max": [1, 2]},
    }  # fmt: skip


PLACED = """engine: vllm
engine_options: {max_model_len: 512, seed: 1}
engine_options_for:
  label: {seed: 2, gpu_memory_utilization: 0.4}
  judge: {seed: 3}
  label.judge: {gpu_memory_utilization: 0.5}
  evaluate.judge: {max_num_seqs: 9}
"""


def test_engines_have_options_by_stage_and_role(kitchen):
    kitchen.edit("recipe.yaml", "rounds: 2\n", PLACED)
    _, stages = kitchen.stages()
    config = {stage.name: stage.config for stage in stages}
    shared = {"max_model_len": 512}
    revise = config["revise"]["roles"]
    assert revise["critic"] is None and revise["reviser"] is None
    assert read_spec(revise["policy"]).options == shared | {"seed": 1}
    assert read_spec(revise["judge"]).options == shared | {"seed": 3}
    label = {
        role: read_spec(config["label"]["roles"][role]).options for role in ("policy", "judge")
    }
    assert label["policy"] == shared | {"seed": 2, "gpu_memory_utilization": 0.4}
    assert label["judge"] == shared | {"seed": 3, "gpu_memory_utilization": 0.5}
    assert read_spec(config["evaluate"]["models"]["dpo"]).options == shared | {"seed": 1}
    assert read_spec(config["evaluate"]["judge"]).options["max_num_seqs"] == 9


def test_options_for_a_place_reach_other_engines_of_vllm_and_no_server(kitchen):
    placed = "engine_options_for: {judge: {seed: 3}, critic: {seed: 4}, label: {seed: 5}}"
    others = "critic: server:m@http://localhost:1/v1\njudge: embedded?seed=1&dtype=auto"
    kitchen.edit("recipe.yaml", "rounds: 2\n", f"engine: vllm\n{placed}\n{others}\n")
    _, stages = kitchen.stages()
    config = {stage.name: stage.config for stage in stages}
    assert config["revise"]["roles"]["critic"] == "server:m@http://localhost:1/v1"
    assert config["revise"]["roles"]["judge"] == "embedded?dtype=auto&seed=3"
    assert config["label"]["roles"]["judge"] == "embedded?dtype=auto&seed=3"


def kept(section) -> bool:
    return isinstance(section, dict) and section.get("keep_truncated", False)


def test_what_is_truncated_is_learned_as_far_as_it_goes_unless_told_otherwise(kitchen):
    sampling = {"revise", "label-1", "label-2"}
    for added, keep in (("", True), ("keep_truncated: false", False)):
        kitchen.edit("recipe.yaml", "rounds: 2", f"rounds: 2\n{added}")
        _, stages = kitchen.stages()
        sections = {s.name: (s.config or {}).get(s.name.partition("-")[0]) for s in stages}
        keeping = {name for name, section in sections.items() if kept(section)}
        assert keeping & sampling == (sampling if keep else set())


# What is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("model: embedded", "modle: embedded", "recipe.yaml:7:1: unknown key 'modle'; did you"),
        ("held_out: 0.25", "held_out: 1.5", "recipe.yaml:5:11: held_out is 1.5; "),
        ("rounds: 2", "rounds: two", "recipe.yaml:8:9: rounds is 'two'; "),
        ("ratio: 0.5", "ration: 0.5", "unknown key 'ration'; did you mean 'ratio'?"),
        (
            "prompts: prompts.jsonl",
            "prompts: p.jsonl",
            "recipe.yaml:4:10: there is no p.jsonl; paths are",
        ),
        ("epochs: 1", "epoch: 1", "recipe.yaml:9:7: unknown key 'epoch'; did you mean 'epochs'?"),
        ("sft: {", "grpo: {judge: embedded}\nsft: {", "grpo.judge is not said in a section"),
        ("sft: {", "grpo: {generations: 1}\nsft: {", "9:21: grpo.generations is 1; "),
        ("epochs: 1", "epochs: -1", "recipe.yaml:9:15: sft.epochs is -1; "),
        (
            "epochs: 1",
            "model: other",
            "recipe.yaml:9:7: sft.model is not said in a section; say `model:` at",
        ),
        ("constitution: rules.yaml", "constitution: rule.yaml", "rule.yaml: no such file"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(kitchen, old, new, told):
    kitchen.edit("recipe.yaml", old, new)
    with pytest.raises(InputError) as error:
        kitchen.stages()
    assert told in str(error.value)


def test_everything_wrong_is_told_at_once(kitchen):
    kitchen.edit("recipe.yaml", "rounds: 2", "rounds: 0")
    kitchen.edit("recipe.yaml", "name: tiny", "name: Tiny!")
    with pytest.raises(InputError) as error:
        kitchen.stages()
    assert len(error.value.problems) == 2


def test_a_directory_of_something_else_is_left_alone(kitchen):
    kitchen.out.mkdir()
    (kitchen.out / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="is not a recipe: it holds thesis"):
        kitchen.cook()
    assert [path.name for path in kitchen.out.iterdir()] == ["thesis.tex"]


def test_a_directory_of_another_recipe_is_left_alone(kitchen):
    kitchen.cook()
    kitchen.edit("recipe.yaml", "name: tiny", "name: other")
    with pytest.raises(InputError, match="holds another recipe: recipe was tiny, now other"):
        kitchen.cook()


# What ships -------------------------------------------------------------------------------------


def test_a_shipped_recipe_leaves_no_gpu_and_no_memory_unused():
    """Replicas of what fits one GPU; the share of memory follows from what runs at once."""
    options = {name: load_recipe(name)[0].engine_options for name in shipped_recipes()}
    assert not any("gpu_memory_utilization" in one for one in options.values())
    assert options["eight-gpu-fsdp"] == {"data_parallel_size": 8, "max_model_len": 8192}


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_become_stages(name, tmp_path):
    recipe, file = load_recipe(name)
    assert recipe.name == name
    stages = stages_of(recipe, file, tmp_path)
    first = "split" if recipe.prompts else "prompts"
    assert stages[0].name == first and stages[-1].name == "evaluate"
    beside = file.parent / recipe.constitution
    assert load_constitution(beside if beside.is_file() else recipe.constitution)
    for stage in stages:
        assert stage.accelerate is None or stage.accelerate.is_file()


def test_planning_imports_no_model_library(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from training.recipe.schema import load_recipe; from training.recipe.plan import stages_of\n"
        "from training.recipe.stage import run_stages\n"
        f"stages_of(*load_recipe('quickstart-cpu'), Path({str(tmp_path)!r}))\n"
        "print(sorted({'torch', 'vllm', 'trl', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_grpo_is_rewarded_by_the_recipes_own_judge_and_constitution(kitchen):
    changed = "rlaif: grpo\njudge: scripted\ngrpo: {learning_rate: 1.0e-6}"
    kitchen.edit("recipe.yaml", "rounds: 2", changed)
    grpo = next(stage for stage in kitchen.stages()[1] if stage.name == "grpo")
    assert (grpo.config["judge"], grpo.config["learning_rate"]) == ("scripted", 1e-6)
    assert grpo.config["constitution"].endswith("rules.yaml")
    assert {"judge", "constitution"} <= grpo.reads.keys()
