"""What a recipe says once holds in every stage; files that its sections name are their inputs."""

import re
from pathlib import Path

import pytest

from constitution.problems import InputError
from constitution.typed_yaml import load_config
from engine.runs.config import AnswerConfig, LabelConfig, ReviseConfig
from tests.training.recipe.test_recipe import CONSTITUTION, Kitchen
from training.data.split import SplitConfig
from training.evaluation.config import EvaluateConfig
from training.recipe.stage import begin, decide
from training.recipe.steps import TRAINERS

STAKEHOLDERS = "stakeholders: {legal: {weights: {kind: 0}}, users: {weights: {honest: 2}}}\n"


@pytest.fixture
def kitchen(tmp_path) -> Kitchen:
    kitchen = Kitchen(tmp_path)
    kitchen.write("rules.yaml", CONSTITUTION + STAKEHOLDERS)
    return kitchen


def stages(kitchen, *lines, without="rounds: 2\n"):
    kitchen.edit("recipe.yaml", without, "".join(f"{line}\n" for line in lines))
    return {stage.name: stage for stage in kitchen.stages()[1]}


def test_roles_are_said_once(kitchen):
    critic, reviser = (f"scripted:{kitchen.folder / name}" for name in ("c.yaml", "r.yaml"))
    for name in ("c.yaml", "r.yaml"):
        kitchen.write(name, "delay: 0.0\n")
    by_name = stages(kitchen, f"critic: {critic}", f"reviser: {reviser}", "judge: scripted")
    roles = by_name["revise"].config["roles"]
    assert (roles["critic"], roles["reviser"]) == (critic, reviser)
    assert roles["judge"] == by_name["label"].config["roles"]["judge"] == "scripted"
    assert by_name["evaluate"].config["judge"] == "scripted"
    assert {"critic", "reviser", "judge"} <= by_name["revise"].reads.keys()


def test_a_critic_judges_where_no_judge_is_named(kitchen):
    by_name = stages(kitchen, "critic: scripted")
    assert by_name["label"].config["roles"]["judge"] == "scripted"
    assert by_name["evaluate"].config["judge"] == "scripted"


def test_another_judge_may_evaluate(kitchen):
    by_name = stages(kitchen, "judge: embedded", "evaluate: {judge: scripted}")
    assert by_name["evaluate"].config["judge"] == "scripted"
    assert by_name["label"].config["roles"]["judge"] == "embedded"


@pytest.mark.parametrize("said", ["legal", "{legal: 1.0, users: 2.0}", "legal=1,users=2"])
@pytest.mark.parametrize("rlaif", ["dpo", "grpo"])
def test_stakeholder_seed_and_what_is_truncated_reach_every_stage(kitchen, said, rlaif):
    by_name = stages(kitchen, f"stakeholder: {said}", "seed: 7", "keep_truncated: false",
                     f"rlaif: {rlaif}", "sampling: {max_tokens: 9, min_tokens: 2}")  # fmt: skip
    meant = "legal" if said == "legal" else {"legal": 1.0, "users": 2.0}
    sections = [by_name["revise"].config["revise"], by_name["evaluate"].config["evaluate"]]
    if rlaif == "dpo":
        sections.append(by_name["label"].config["label"])
    else:
        sections.append(by_name["grpo"].config)
    for section in sections:
        assert section["stakeholder"] == meant and section["seed"] == 7
        assert not section.get("keep_truncated")
    for name in {"revise", "label", "evaluate"} & by_name.keys():
        assert by_name[name].config["sampling"]["min_tokens"] == 2
    assert by_name["sft"].config["seed"] == 7


@pytest.mark.parametrize("rlaif", ["dpo", "grpo"])
def test_a_tracker_is_said_once_and_another_one_runs_nothing_again(kitchen, rlaif):
    kitchen.edit("recipe.yaml", "rounds: 2", f"rlaif: {rlaif}\nreport_to: tensorboard")
    kitchen.cook()
    by_name = {stage.name: stage for stage in kitchen.stages()[1]}
    reporting = {name for name, stage in by_name.items() if "report_to" in (stage.config or {})}
    assert reporting == {"revise", "sft", rlaif, "evaluate"} | (
        {"label"} if rlaif == "dpo" else set()
    )
    assert {by_name[name].config["report_to"] for name in reporting} == {"tensorboard"}
    kitchen.edit("recipe.yaml", "report_to: tensorboard", "report_to: wandb")
    assert kitchen.cook().names == []


def test_a_chat_template_reaches_every_model_and_is_an_input(kitchen):
    kitchen.write("chat.jinja", "{{ messages }}")
    by_name = stages(kitchen, "chat_template: chat.jinja")
    path = by_name["sft"].config["chat_template"]
    assert path.endswith("chat.jinja")
    for stage in ("revise", "label"):
        assert by_name[stage].config["roles"]["chat_template"] == path
    assert by_name["evaluate"].config["chat_template"] == path
    kitchen.cook()
    kitchen.write("chat.jinja", "{{ messages }}!")
    run = kitchen.cook()
    assert run.names[0] == "revise" and "chat_template changed" in kitchen.line("revise")


def test_a_reward_model_trained_again_trains_the_policy_again(kitchen):
    rewarder = kitchen.folder / "rewarder"
    rewarder.mkdir()
    (rewarder / "model.safetensors").write_text("1", encoding="utf-8")
    kitchen.write("rows.jsonl", '{"prompt": "?"}\n')
    by_name = stages(
        kitchen, "rlaif: grpo", "grpo: {reward_model: rewarder, test_dataset: rows.jsonl}"
    )
    assert by_name["grpo"].config["reward_model"].endswith("rewarder")
    kitchen.cook()
    assert not kitchen.cook().ran
    (rewarder / "model.safetensors").write_text("2", encoding="utf-8")
    run = kitchen.cook()
    assert run.names == ["grpo", "evaluate"]
    assert "reward_model changed" in kitchen.line("grpo")
    kitchen.write("rows.jsonl", '{"prompt": "!"}\n')
    assert kitchen.cook().names == ["grpo", "evaluate"]
    assert "test_dataset changed" in kitchen.line("grpo")


def test_ppo_starts_its_value_model_as_the_recipes_reward_model(kitchen):
    lines = ("train: [sft, reward-model, ppo]", "ppo: {value_model: recipe, lora: {r: 4}}")
    ppo = stages(kitchen, *lines)["ppo"]
    made = kitchen.stages()[1][-2].output.parent / "reward-model"
    assert ppo.config["value_model"] == str(made)
    assert ppo.reads["value model"] == made / "manifest.json"
    assert "value_model" not in ppo.reads  # its files are not there yet
    kitchen.edit("recipe.yaml", "[sft, reward-model, ppo]", "[sft, ppo, reward-model]")
    with pytest.raises(InputError, match="no step trains the recipe's reward model"):
        kitchen.stages()


def test_prompts_that_only_moved_change_nothing(kitchen):
    kitchen.cook()
    (kitchen.folder / "prompts.jsonl").rename(kitchen.folder / "moved.jsonl")
    kitchen.edit("recipe.yaml", "prompts: prompts.jsonl", "prompts: moved.jsonl")
    assert not kitchen.cook().ran


@pytest.mark.parametrize("named", ["prompts.jsonl,more.jsonl", "[pm]*r*.jsonl"])
def test_prompts_may_be_in_several_files_and_each_counts(kitchen, named):
    kitchen.write("more.jsonl", '{"prompt": "More?"}\n')
    kitchen.edit("recipe.yaml", "prompts: prompts.jsonl", f'prompts: "{named}"')
    assert kitchen.cook().ran
    assert not kitchen.cook().ran
    kitchen.write("more.jsonl", '{"prompt": "Other?"}\n')
    assert kitchen.cook().names[0] == "split"


@pytest.mark.parametrize(
    ("named", "missing"),
    [("prompts.jsonl,no.jsonl", "no.jsonl"), ("no/*.jsonl", "no/*.jsonl"), ("'-'", "-")],
)
def test_prompts_that_are_missing_are_told_one_by_one(kitchen, named, missing):
    kitchen.edit("recipe.yaml", "prompts: prompts.jsonl", f"prompts: {named}")
    with pytest.raises(InputError, match=re.escape(f"there is no {missing}; paths are")):
        kitchen.stages()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("revise: {seed: 3}", "8:10: revise.seed is not said in a section; say `seed:` at the top"),
        ("revise: {stakeholder: legal}", "revise.stakeholder is not said in a section"),
        ("label: {keep_truncated: true}", "label.keep_truncated is not said in a section"),
        ("evaluate: {stakeholder: legal}", "evaluate.stakeholder is not said in a section"),
        ("dpo: {seed: 3}", "dpo.seed is not said in a section"),
        ("grpo: {stakeholder: legal}", "grpo.stakeholder is not said in a section"),
        ("sft: {report_to: wandb}", "sft.report_to is not said in a section; say `report_to:` at"),
        ("dpo: {dataset: rows}", "dpo.dataset is filled in by the recipe"),
        ("stakeholder: nobody", "rules has no stakeholder `nobody`; it has: legal, users"),
        (
            "stakeholder: legal=much",
            "8:14: stakeholder is 'legal=much'; `legal=much` is not a share",
        ),
        ("dpo: {lora: {merge: false}}", "8:21: the stages after dpo need its merged model"),
        ("dpo: {reference: ./nowhere}", "8:18: there is no ./nowhere; paths are relative to"),
        ("dpo: {reference: runs/sft/model}", "8:18: there is no runs/sft/model; paths are"),
        ("dpo: {test_dataset: no.jsonl}", "there is no no.jsonl"),
        ("dpo: {chat_template: no.jinja}", "dpo.chat_template is not said in a section"),
        ("chat_template: no.jinja", "8:16: there is no no.jinja"),
        ("evaluate: {tasks: [no.jsonl]}", "there is no no.jsonl"),
        ("evaluate: {attacks: [role_plai]}", "8:21: evaluate.attacks is ['role_plai']; unknown"),
        ("evaluate: {attacks: [all], harmful: none}", "there are none"),
        ("label: {chain_of_thought: true}", "8:27: label.chain_of_thought is True; a pointwise"),
        ("rlaif: grpo\nrounds: 2", "9:9: rounds is 2; GRPO samples"),
        ("rlaif: grpo\ngrpo: {max_answer: 999, max_length: 99}", "leaves no token to a prompt"),
        ("rlaif: grpo\ngrpo: {generations: 3}", "9:21: 8 answers a step cannot be shared out"),
        ("engine: transformers\nengine_options: {max_model_len: 9}", "arguments of vLLM"),
        ("engine_options_for: {labl: {seed: 1}}", "engine_options_for"),
        ("engine: transformers\nengine_options_for: {label: {seed: 1}}", "arguments of vLLM"),
        (
            "engine: transformers\njudge: embedded?backend=transformers\n"
            "engine_options_for: {judge: {seed: 1}}",
            "arguments of vLLM",
        ),
        ("judge: vlm:x", "vllm"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(kitchen, line, problem):
    with pytest.raises(InputError) as error:
        stages(kitchen, line)
    assert problem in str(error.value)


def test_what_is_not_read_of_helpful_rows_is_refused(kitchen):
    kitchen.edit("recipe.yaml", "ratio: 0.5}", "ratio: 0.5, limit: 3}")
    with pytest.raises(InputError, match=r"it is read with `answer: true` alone"):
        kitchen.stages()


@pytest.mark.parametrize("rlaif", ["dpo", "grpo"])
def test_a_command_reads_what_its_stage_is_given(kitchen, rlaif):
    """The file that a stage leaves for its command says what the stage was planned with."""
    kinds = {"split": SplitConfig, "revise": ReviseConfig, "answer": AnswerConfig,
             "label": LabelConfig, "evaluate": EvaluateConfig, **TRAINERS}  # fmt: skip
    kitchen.edit("recipe.yaml", "ratio: 0.5}", "ratio: 0.5, answer: true}")
    planned = stages(kitchen, f"rlaif: {rlaif}", "stakeholder: {legal: 1}", "critic: scripted")
    kitchen.out.mkdir()
    read = set()
    for name, stage in planned.items():
        command = begin(stage, kitchen.out, decide(stage, kitchen.out))
        if stage.config is None:
            continue
        config = load_config(kinds[name], Path(command[command.index("--config") + 1]))
        assert config.model_dump(mode="json") == stage.config
        read.add(name)
    assert read == {"split", "revise", "answer", "sft", "evaluate"} | (
        {"label", "dpo"} if rlaif == "dpo" else {"grpo"}
    )
