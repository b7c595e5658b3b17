"""A run whose prompts were edited: `--update` keeps what is still asked, and does what is new."""

import asyncio
import json

import pytest

from constitution.problems import InputError
from engine.generators.scripted import ScriptedGenerator
from engine.prompts.sources import open_prompts
from engine.runs.label_run import LabelRun
from engine.runs.run import RevisionRun
from engine.settings import LabelSettings, RoleModel, roles
from engine.storage.jsonl import read_jsonl
from tests.engine.builders import constitution, finish, paper

RULES = constitution("one", "two")


class Counted(ScriptedGenerator):
    """Notes each prompt that it is asked to answer."""

    def __init__(self):
        super().__init__()
        self.asked = []

    async def generate(self, request):
        self.asked.append(request.messages[-1].content)
        return await super().generate(request)


def prompts(folder, *names, **columns):
    path = folder / "prompts.jsonl"
    rows = [{"id": name, "prompt": f"Question {name}?", **columns} for name in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_prompts(path)


def revise(out, source, mode="resume", rules=RULES):
    generator = Counted()
    run = RevisionRun(out, source, rules, roles(generator), paper(), mode=mode)
    return finished(run), generator.asked


def finished(run):
    finish(run)
    return run


def records(out):
    return {row["id"]: row for row in read_jsonl(out / "records.jsonl")}


def manifest(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))


def test_a_file_that_grew_is_refused_with_the_flag_that_goes_on(tmp_path):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a", "b"))
    before = (out / "records.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"prompts was .*, now .* --update"):
        revise(out, prompts(tmp_path, "a", "b", "c"))
    assert (out / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize("cache", ["there", "gone"])
def test_an_update_does_only_what_is_new_even_without_the_cache(tmp_path, cache):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a", "b", "c"))
    old, used = records(out), manifest(out)["usage"]["generated_requests"]
    if cache == "gone":
        (out / "completions.sqlite").unlink()
    run, asked = revise(out, prompts(tmp_path, "new", "c", "a"), "update")
    assert run.updated and run.directory.keeps_records
    assert asked and not any("Question a" in text or "Question c" in text for text in asked)
    new = records(out)
    assert new.keys() == {"new", "a", "c"}
    assert new["a"] == old["a"] | {"row": 2} and new["c"] == old["c"] | {"row": 1}
    assert new["new"]["row"] == 0
    aside = out / "previous" / "1"
    assert records(aside) == old and manifest(aside)["complete"]
    assert manifest(out)["complete"] and manifest(out)["totals"]["records"] == 3
    assert manifest(out)["usage"]["generated_requests"] == used + used // 3


def test_what_was_kept_is_what_an_uninterrupted_run_writes(tmp_path):
    revise(tmp_path / "run", prompts(tmp_path, "a", "b"))
    grown = prompts(tmp_path, "c", "a", "b", "d")
    revise(tmp_path / "run", grown, "update")
    revise(tmp_path / "whole", grown)
    assert records(tmp_path / "run") == records(tmp_path / "whole")


def test_prompts_that_were_only_removed_ask_nothing(tmp_path):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a", "b"))
    _, asked = revise(out, prompts(tmp_path, "b"), "update")
    assert asked == [] and records(out).keys() == {"b"}
    assert manifest(out)["complete"]
    assert records(out / "previous" / "1").keys() == {"a", "b"}


def test_more_of_the_same_file_is_an_update_too(tmp_path):
    path, out = tmp_path / "prompts.jsonl", tmp_path / "run"
    prompts(tmp_path, *"abcd")
    revise(out, open_prompts(path, limit=2))
    _, asked = revise(out, open_prompts(path, limit=4), "update")
    assert records(out).keys() == set("abcd")
    assert not any("Question a" in text or "Question b" in text for text in asked)


@pytest.mark.parametrize("column", [{"tags": ["x"]}, {"source": "s"}, {"system": "Be brief."}])
def test_a_prompt_of_which_anything_changed_is_done_again(tmp_path, column):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a"))
    run, _ = revise(out, prompts(tmp_path, "a", **column), "update")
    assert run.progress().resumed == 0
    record = records(out)["a"]
    assert record["tags"] == column.get("tags", []) and record["extra"].get("source") == column.get(
        "source"
    )
    assert len(record["prompt"]) == 1 + ("system" in column)


def test_both_edited_at_once_is_one_update_that_keeps_no_record(tmp_path):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a", "b"))
    rules = constitution("one", "two", "three")
    run, _ = revise(out, prompts(tmp_path, "a", "b", "c"), "update", rules)
    assert run.directory.output.changed == ("constitution", "prompts")
    assert not run.directory.keeps_records
    assert {row["constitution"] for row in records(out).values()} == {rules.content_hash}


def test_an_update_that_was_interrupted_resumes(tmp_path):
    out = tmp_path / "run"
    revise(out, prompts(tmp_path, "a", "b"))
    grown = prompts(tmp_path, "a", "b", "c")
    run = RevisionRun(out, grown, RULES, roles(Counted()), paper(), mode="update")
    asyncio.run(run.close())
    assert records(out).keys() == {"a", "b"} and not manifest(out)["complete"]
    revise(out, grown)
    assert records(out).keys() == {"a", "b", "c"} and manifest(out)["complete"]
    assert not (out / "previous" / "2").exists()


def test_labels_are_kept_as_well(tmp_path):
    def label(source, mode="resume"):
        model = RoleModel(Counted())
        settings = LabelSettings()
        finished(LabelRun(tmp_path / "run", source, RULES, model, model, settings, mode=mode))
        return model.generator.asked

    label(prompts(tmp_path, "a", "b"))
    old = records(tmp_path / "run")
    asked = label(prompts(tmp_path, "a", "b", "c"), "update")
    assert asked and not any("Question a" in text or "Question b" in text for text in asked)
    assert records(tmp_path / "run").items() > old.items()
