"""Answers that were made elsewhere: read from each shape, matched to prompts, judged as any other's."""

import json
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

import pytest
from hypothesis import example, given, settings, strategies

from constitution.problems import InputError
from engine.messages import Message, to_dicts
from engine.prompts.sources import Prompt
from engine.redteam.transforms import ATTACKS
from tests.hostile_json import hostile_json
from tests.training.evaluation.test_run import RULES, bad_is_bad, by_name, evaluated, judge, says
from training.evaluation.config import EvaluateConfig
from training.evaluation.questions.questionnaire import Questionnaire
from training.evaluation.recorded.answer_files import read_answers
from training.evaluation.recorded.answers import open_recorded

TURNS = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Question 1?"}]
INSPECT = {
    "samples": [
        {
            "id": 1,
            "input": TURNS,
            "output": {
                "choices": [
                    {
                        "message": {
                            "role": "assistant",
                            "content": [{"type": "text", "text": "Yes."}],
                        }
                    }
                ]
            },
        },
        {"id": 2, "input": "Question 2?", "output": {"choices": []}},
    ]
}
PROMPTFOO = {
    "results": {
        "results": [
            {
                "prompt": {"raw": "Say: Question 1?"},
                "vars": {"q": "Question 1?"},
                "response": {"output": "Yes."},
            },
            {"prompt": {"raw": "Question 2?"}, "vars": {}, "response": {"error": "gone"}},
        ]
    }
}
EVENTS = [
    {"spec": {"run_id": "a"}},
    {"type": "match", "sample_id": "s.1", "data": {"correct": True}},
    {"type": "sampling", "sample_id": "s.1", "data": {"prompt": TURNS, "sampled": ["Yes."]}},
]
ROWS = [
    {"prompt": "Question 1?", "response": " Yes. "},
    {"messages": [*TURNS, {"role": "assistant", "content": "Yes."}]},
    {"id": "p1", "prompt": [*TURNS], "final": "Yes.", "answer": "No."},
    {"question": "Question 1?", "output": "Yes."},
]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.json", json.dumps(INSPECT)),
        ("out.json", json.dumps(PROMPTFOO)),
        ("events.jsonl", lines(EVENTS)),
        ("rows.json", json.dumps(ROWS[:1])),
        ("rows.csv", "prompt,answer\nQuestion 1?,Yes.\n"),
        *((f"row{number}.jsonl", lines([row])) for number, row in enumerate(ROWS)),
    ],
)
def test_every_shape_holds_the_answer_to_question_1(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    (answer,) = read_answers(path)
    assert (answer.turns[-1], answer.text) == (("user", "Question 1?"), "Yes.")


def test_an_inspect_log_is_an_archive(tmp_path):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", "{}")
        for number, sample in enumerate(INSPECT["samples"]):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
    assert [answer.text for answer in read_answers(path)] == ["Yes."]
    path.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="is not an Inspect log"):
        read_answers(path)


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
def test_a_damaged_archive_is_refused_in_one_line(tmp_path, method):
    path = tmp_path / "log.eval"
    with zipfile.ZipFile(path, "w", method) as archive:
        for number in range(3):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(INSPECT["samples"][0]))
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with suppress(InputError):
            read_answers(path)


VALUES = hostile_json(
    "id prompt raw vars response output choices message messages content role text type data sampled "
    "input answer system",
    "user assistant",
)
SHAPES = [
    ("rows.jsonl", lambda value: value if isinstance(value, dict) else {"answer": value}),
    ("rows.jsonl", lambda value: {"messages": value}),
    ("rows.jsonl", lambda value: {"type": "sampling", "data": value}),
    ("log.json", lambda value: {"samples": [value]}),
    ("log.json", lambda value: {"samples": [{"output": value, "input": value}]}),
    ("log.json", lambda value: {"samples": [{"output": {"choices": value}}]}),
    ("out.json", lambda value: {"results": {"results": [value]}}),
    ("out.json", lambda value: {"results": [{"response": {"output": "Yes."}, "vars": value}]}),
    ("out.json", lambda value: {"results": [{"response": {"output": "Yes."}, "prompt": value}]}),
]


@settings(deadline=None, max_examples=300)
@given(strategies.sampled_from(SHAPES), VALUES)
@example(SHAPES[5], ["Yes."])
@example(SHAPES[5], "Yes.")
@example(SHAPES[7], ["Yes."])
def test_whatever_a_file_holds_is_read_or_refused(shape, value):
    name, shaped = shape
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(json.dumps(shaped(value)), encoding="utf-8")
        with suppress(InputError):
            open_recorded(str(path))


def test_a_run_of_ones_own_is_a_file_of_answers_too(tmp_path):
    (tmp_path / "records.jsonl").write_text(lines(ROWS[2:3]), encoding="utf-8")
    assert read_answers(tmp_path)[0].text == "Yes.", "the final text, not the first answer"


def test_a_file_without_answers_is_refused_in_one_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines([{"prompt": "Question 1?"}]), encoding="utf-8")
    with pytest.raises(InputError, match="holds no answers that are known here; give rows"):
        read_answers(path)


def test_recorded_answers_are_judged_and_missing_ones_are_counted(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"  Question\n{n}?", "answer": "A good answer."} for n in range(30)]
    rows += [{"id": f"p{n}", "answer": "A good answer."} for n in range(30, 35)]
    path.write_text(lines(rows), encoding="utf-8")
    recorded = open_recorded(str(path))
    models = {"base": says("base", "A bad answer."), "mine": recorded}
    results = evaluated(models, judge(bad_is_bad), tmp_path / "out")
    rows = by_name(results)
    assert rows["mine"].violations.value == 0 and rows["mine"].violations.count == 35
    assert rows["mine"].answers.failed == 5 and rows["mine"].answers.mean_tokens is None
    assert rows["mine"].change.value == -1 and rows["mine"].spec == f"answers:{path}"
    first = evaluated({"mine": recorded, "base": models["base"]}, judge(bad_is_bad), tmp_path / "b")
    assert by_name(first)["base"].change.value == 1, "a base of which only answers are known"


def test_sets_that_were_not_answered_are_not_measured(tmp_path):
    from tests.engine.builders import prompts

    path = tmp_path / "rows.jsonl"
    path.write_text(lines([{"prompt": "Question 1?", "answer": "Yes."}]), encoding="utf-8")
    models = {"mine": open_recorded(str(path)), "base": says("base", "No.")}
    results = evaluated(models, judge(bad_is_bad), tmp_path / "out", harmful=tuple(prompts(3)))
    assert by_name(results)["mine"].harmful is None and by_name(results)["base"].harmful


def recorded_outputs(tmp_path, rows, prompts, **others):
    path = tmp_path / "rows.jsonl"
    path.write_text(lines(rows), encoding="utf-8")
    questionnaire = Questionnaire(tuple(prompts), RULES, **others)
    return open_recorded(str(path)).outputs(questionnaire).answers


def said(*texts):
    """Turns of a user and an assistant, the user first."""
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "content": text} for number, text in enumerate(texts)]


def asked(id, *turns):
    return Prompt(id, 0, tuple(Message(**turn) for turn in turns))


@pytest.mark.parametrize(
    "rows",
    [
        [
            {"id": "a", "prompt": said("Of cats.", "Well.", "Go on."), "answer": "Cats."},
            {"id": "b", "prompt": said("Of dogs.", "Well.", "Go on."), "answer": "Dogs."},
        ],
        [
            {"messages": said("Of cats.", "Well.", "Go on.", "Cats.")},
            {"messages": said("Of dogs.", "Well.", "Go on.", "Dogs.")},
        ],
        [
            {"id": "a", "prompt": "Go on.", "answer": "Cats."},
            {"id": "b", "prompt": "Go on.", "answer": "Dogs."},
        ],
        [{"id": "a", "answer": "Cats."}, {"id": "b", "answer": "Dogs."}],
    ],
    ids=["id and turns", "turns", "id and text", "id"],
)
def test_two_conversations_that_end_alike_keep_their_own_answers(tmp_path, rows):
    prompts = [
        asked("a", *said("Of cats.", "Well.", "Go on.")),
        asked("b", *said("Of dogs.", "Well.", "Go on.")),
    ]
    found = recorded_outputs(tmp_path, rows, prompts)["held-out"]
    assert [answer.text for answer in found.values()] == ["Cats.", "Dogs."]


def test_a_text_alone_answers_a_single_question_alone(tmp_path):
    prompts = [
        asked("a", *said("Go on.")),
        asked("b", *TURNS[:1], *said("Go on.")),
        asked("c", *said("Of dogs.", "Well.", "Go on.")),
    ]
    rows = [{"prompt": "Go on.", "answer": "With what?"}]
    found = recorded_outputs(tmp_path, rows, prompts)["held-out"]
    assert [answer.text for answer in found.values()] == ["With what?", "With what?", ""]
    rows = [{"system": "Be kind.", "prompt": "Go on.", "answer": "With what?"}]
    found = recorded_outputs(tmp_path, rows, prompts)["held-out"]
    assert [answer.text for answer in found.values()] == ["", "With what?", ""]


def test_an_id_that_another_set_has_too_brings_no_answer_to_another_question(tmp_path):
    rows = [{"id": "1", "prompt": "How are you?", "answer": "Well."}]
    prompts, harmful = [asked("1", *said("How are you?"))], (asked("1", *said("Hurt him.")),)
    assert recorded_outputs(tmp_path, rows, prompts, harmful=harmful).keys() == {"held-out"}


@pytest.mark.parametrize("attack", ["prefill", "few_shot"])
@pytest.mark.parametrize("id", ["h", None])
def test_an_attacked_prompt_has_no_answer_but_one_to_the_attack(tmp_path, attack, id):
    harmful = asked("h", *said("Hurt him."))
    sets = {"harmful": (harmful,), "attacks": (attack,)}
    rows = [{"id": id, "prompt": "Hurt him.", "answer": "No."}, {"id": id, "answer": "No."}]
    found = recorded_outputs(tmp_path, rows, [harmful], **sets)
    assert found["harmful"]["h"].text == "No." and f"attack: {attack}" not in found
    attacked = to_dicts(ATTACKS[attack](harmful.messages))
    rows.append({"id": id, "prompt": attacked, "answer": "As you wish."})
    found = recorded_outputs(tmp_path, rows, [harmful], **sets)
    assert found["harmful"]["h"].text == "No."
    assert found[f"attack: {attack}"]["h"].text == "As you wish."


def test_there_must_be_something_to_evaluate():
    given = {
        "constitution": "harmlessness",
        "prompts": "p.jsonl",
        "out": "out",
        "judge": "scripted",
    }
    with pytest.raises(ValueError, match="nothing to evaluate"):
        EvaluateConfig(**given)
    with pytest.raises(ValueError, match="`a` is a model and a file of answers"):
        EvaluateConfig(**given, models=["a=scripted"], answers=["a=x.jsonl"])


def test_logs_of_inspect_are_written_and_read_back(tmp_path):
    from tests.training.evaluation.rich_results import rich_results
    from training.evaluation.recorded.inspect_logs import write_inspect_logs

    results = rich_results()
    base, *_ = write_inspect_logs(results, tmp_path / "logs")
    kept = [s for s in results.samples if any(a.model == "base" and a.text for a in s.answers)]
    read = read_answers(base)
    assert len(read) == len(results.samples) and base.name == "base.eval"
    assert {answer.text for answer in read} >= {
        a.text.strip() for s in kept for a in s.answers if a.model == "base"
    }
    with zipfile.ZipFile(base) as archive:
        header = json.loads(archive.read("header.json"))
    assert (
        header["results"]["scores"][0]["metrics"]["mean"]["value"]
        == results.models[0].violations.value
    )


def test_the_real_inspect_reads_them(tmp_path):
    log = pytest.importorskip("inspect_ai.log")
    from tests.training.evaluation.rich_results import rich_results
    from training.evaluation.recorded.inspect_logs import write_inspect_logs

    (path, *_) = write_inspect_logs(rich_results(), tmp_path)
    read = log.read_eval_log(str(path))
    assert read.status == "success" and read.samples and read.samples[0].output.completion
