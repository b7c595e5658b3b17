"""Other projects' formats: read, written, told apart, and nothing left out without a word."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution import (
    Constitution,
    FewShotExample,
    InputError,
    Principle,
    PrincipleTest,
    Severity,
    Stakeholder,
    load_constitution,
    load_constitution_text,
    shipped_constitutions,
)
from constitution.interchange import Format, export_constitution, import_constitution
from constitution.interchange.formats import format_of
from constitution.yaml_writer import constitution_yaml

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data")

ASK, MEND = "Say where the reply is rude.", "Please rewrite the reply to remove all rude content."
INSTRUCTIONS = {
    "polite0": {
        "prompt": [f"\n\nCritiqueRequest: {ASK}\n\nCritique:"],
        "edit_request": f"\n\nRevisionRequest: {MEND}\n\nRevision:",
    }
}
CHAT = ["Tell me a joke.", "Get lost.", ASK, "It is rude.", MEND, "Why did the hen cross the road?"]
TRANSCRIPT = (
    f"\n\nHuman: Tell me a joke.\n\nAssistant: Get lost.\n\nCritiqueRequest: {ASK}\n\nCritique: It is "
    f"rude.\n\nRevisionRequest: {MEND}\n\nRevision: Why did the hen cross the road?\n\nHuman:"
)
TRAIT = {"trait": "I'm calm when others are not.", "questions": ["Calm down!", "Are you angry?"]}
LINES = {**TRAIT, "additional_questions": ["Why so calm?"], "clarification": "Never cold."}
EVALS = {
    "schema_version": "1.1",
    "id": "Town Hall",
    "title": "For the town hall.",
    "version": "2.3",
    "criteria": ["Prefer the response that names its sources.", "Which one is shorter?"],
    "voices": [{"who": "the mayor"}],
    "provenance": {},
    "changelog": [],
}


def chat(*texts, roles=("user", "assistant")):
    return [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]


SWARM = {"constitutions": [{"critic": ASK, "revision": MEND}], "system_chat": [chat(*CHAT)]}
NEMO = {"samples": [chat(*CHAT, roles=("User", "Assistant"))]}
CHAIN = {"polite": {"name": "polite", "critique_request": ASK, "revision_request": MEND}}
FILES = {
    "anthropic": INSTRUCTIONS,
    "anthropic-few-shot": [TRANSCRIPT],
    "anthropic-preference": ["\nPlease choose the response that's kinder. Options:"],
    "llm-swarm": SWARM,
    "nemo-aligner": NEMO,
    "open-character": [TRAIT],
    "icai": "1. Select the response that is short.\n2. Select the response that is kind.",
    "constitutional-evals": EVALS,
    "langchain": CHAIN,
}


@pytest.fixture
def written(tmp_path):
    def write(data, name="file.json"):
        path = tmp_path / name
        text = data if isinstance(data, str) and name.endswith("l") else json.dumps(data)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def only(imported):
    (principle,) = imported.constitution.principles
    return principle


@pytest.mark.parametrize("format", FILES)
def test_each_format_is_recognised_and_loads_as_yaml(written, format):
    imported = import_constitution(written(FILES[format]), name="town hall")
    assert imported.format == format
    assert imported.constitution.name == "town-hall"
    assert load_constitution_text(constitution_yaml(imported.constitution)) == imported.constitution


def test_affixes_are_taken_off_and_put_back(written):
    imported = import_constitution(written(INSTRUCTIONS))
    principle = only(imported)
    assert (principle.id, principle.critique, principle.revision) == ("polite0", ASK, MEND)
    assert principle.statement == "The assistant's reply holds no rude content."
    assert any("1 of 1 statements were derived" in note for note in imported.notes)
    again = export_constitution(imported.constitution, Format.ANTHROPIC)
    assert json.loads(again.text) == INSTRUCTIONS
    preferred = import_constitution(written(FILES["anthropic-preference"]))
    assert only(preferred).preference == "Please choose the response that's kinder."
    assert only(preferred).statement == "The assistant gives a reply that is kinder."
    again = export_constitution(preferred.constitution, Format.ANTHROPIC_PREFERENCE)
    assert json.loads(again.text) == FILES["anthropic-preference"]


@pytest.mark.parametrize("format", ["llm-swarm", "nemo-aligner", "anthropic-few-shot"])
def test_examples_are_carried_there_and_back(written, format):
    imported = import_constitution(written(FILES[format]))
    (example,) = imported.constitution.few_shot
    prompt, answer, _, critique, _, revision = CHAT
    principle = only(imported)
    assert example == FewShotExample(
        principle=principle.id, prompt=prompt, answer=answer, critique=critique, revision=revision
    )
    assert (principle.critique, principle.revision) == (ASK, MEND)
    again = export_constitution(imported.constitution, Format(format))
    assert json.loads(again.text) == FILES[format]


def test_examples_of_a_second_file_go_under_the_principle_that_asks_alike(written):
    near = [TRANSCRIPT.replace("rude content", "rude and unkind content")]
    imported = import_constitution(written(INSTRUCTIONS), few_shot=written(near, "examples.json"))
    assert imported.constitution.few_shot[0].principle == "polite0"
    assert any("rude and unkind" in note for note in imported.notes)
    far = [TRANSCRIPT.replace(ASK, "Is it true?").replace(MEND, "Say how sure you are.")]
    imported = import_constitution(written(INSTRUCTIONS), few_shot=written(far, "examples.json"))
    assert imported.constitution.few_shot == ()
    assert any("left out: the example 'Tell me a joke.'" in note for note in imported.notes)
    with pytest.raises(InputError, match="is langchain, which is not a file of examples"):
        import_constitution(written(INSTRUCTIONS), few_shot=written(CHAIN, "chain.json"))


def test_turns_before_the_last_question_are_told_of(written):
    longer = {**SWARM, "system_chat": [chat("Hello?", "Hm.", *CHAT)]}
    imported = import_constitution(written(longer))
    assert imported.constitution.few_shot[0].prompt == "Tell me a joke."
    assert any("2 turns" in note and "Hello?" in note for note in imported.notes)


def test_traits_and_their_questions(written):
    path = written(json.dumps(LINES) + "\n" + json.dumps({"trait": "Kind to all."}), "t.jsonl")
    imported = import_constitution(path)
    calm, kind = imported.constitution.principles
    assert kind.statement == "Kind to all."
    assert calm.statement.endswith("could say: I'm calm when others are not.\n\nNever cold.")
    asked = ["Calm down!", "Are you angry?", "Why so calm?"]
    assert imported.prompts == tuple({"prompt": text, "tags": [calm.id]} for text in asked)
    assert any("3 questions" in note for note in imported.notes)
    lines = export_constitution(imported.constitution, Format.OPEN_CHARACTER_LINES).text
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["trait"] for row in rows] == [LINES["trait"], "Kind to all."]
    assert rows[0]["clarification"] == "Never cold."


def test_a_text_file_may_hold_the_list_and_one_line_may_be_all(written):
    assert import_constitution(written([TRAIT], "calm.txt")).constitution.name == "calm"
    assert only(import_constitution(written(json.dumps(TRAIT), "one.jsonl")))


def test_comparisons_become_judge_principles(written):
    imported = import_constitution(written(EVALS))
    one, two = imported.constitution.principles
    assert one.preference == EVALS["criteria"][0]
    assert one.statement == "The assistant gives a reply that names its sources."
    assert two.statement.endswith("Which one is shorter?")
    head = imported.constitution
    assert (head.name, head.version, head.description) == ("town-hall", "2.3", "For the town hall.")
    assert any("voices" in note and "the mayor" in note for note in imported.notes)
    again = json.loads(export_constitution(head, Format.CONSTITUTIONAL_EVALS).text)
    assert again["criteria"] == EVALS["criteria"]
    assert (again["title"], again["version"]) == (EVALS["title"], EVALS["version"])
    bare = import_constitution(written(EVALS["criteria"]))
    assert bare.constitution.principles == head.principles


def test_numbered_text_there_and_back(written):
    text = FILES["icai"]
    imported = import_constitution(written(text))
    assert [p.preference for p in imported.constitution.principles] == [
        "Select the response that is short.",
        "Select the response that is kind.",
    ]
    assert json.loads(export_constitution(imported.constitution, Format.ICAI).text) == text


def test_ids_come_from_the_words_and_survive_reordering(written):
    pairs = [{"critic": ASK, "revision": f"Please {verb} it."} for verb in ("shorten", "lengthen")]
    ids = []
    for order in (pairs, pairs[::-1]):
        imported = import_constitution(written({"constitutions": order}))
        ids.append({p.revision: p.id for p in imported.constitution.principles})
    assert ids[0] == ids[1]
    twice = import_constitution(written({"constitutions": [pairs[0], pairs[0]]}))
    assert [p.id for p in twice.constitution.principles] == ["shorten", "shorten-2"]


def test_names_that_are_no_slugs_are_changed_and_told(written):
    imported = import_constitution(written({"Be Polite!": CHAIN["polite"] | {"name": "Manners"}}))
    assert only(imported).id == "be-polite"
    assert any("'Be Polite!' is now called be-polite" in note for note in imported.notes)
    assert any("'Manners'" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"a": {"prompt": ["x"]}, "b": {"edit_request": "y"}}, "a.edit_request: is missing"),
        ({"a": {"prompt": ["x"], "edit_request": 3}}, "a.edit_request: is 3, not text"),
        ({"constitutions": [{"critic": "x"}]}, "constitutions[0].revision: is missing"),
        ({"constitutions": 5}, "constitutions: is 5, not a list"),
        ({"constitutions": []}, "holds no principles"),
        ({"samples": [chat("a", "b")]}, "samples[0]: has 2 turns"),
        ({"samples": [[{"role": "user", "content": "a"}] * 6]}, "must take turns"),
        (["CritiqueRequest: Human: x"], "[0]: is not turns of Human, Assistant"),
        ([{"trait": ""}], "[0].trait: is empty"),
        ({"criteria": ["x", None]}, "criteria[1]: is missing"),
        ({"x": {"critique_request": "y"}}, "x.revision_request: is missing"),
        ("\ud800", "holds half of a character"),
        ({"x": 1}, "is in no format that is known here; known are anthropic,"),
        ([], "is in no format"),
        (
            ["Which? Options:", "Prefer the shorter."],
            "could be anthropic-preference, constitutional",
        ),
        ([{"prompt": "(A) x (B) y"}], "examples of a judge's reasoning"),
    ],
)
def test_broken_files_are_told_by_place(written, data, problem):
    path = written(data)
    with pytest.raises(InputError) as caught:
        import_constitution(path)
    assert problem in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_problems_are_told_at_once(written):
    with pytest.raises(InputError) as caught:
        import_constitution(written({"constitutions": [{"critic": 1}, {"revision": 2}]}))
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' is there twice"),
        ('{"a": ', "is not JSON"),
        ("name: x", ":1:1: is not JSON"),
        ('{"trait": "a"}\n{"trait": ', "is not JSON"),
        ('{"trait": "a"}\n{"trait": "b", "trait": "c"}', "the key 'trait' is there twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"trait": "a"}\n' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_told(tmp_path, text, problem):
    path = tmp_path / "file.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=problem):
        import_constitution(path)
    with pytest.raises(InputError, match="cannot be read"):
        import_constitution(tmp_path / "gone.json")


def test_the_format_can_be_forced(written):
    mixed = written(["Which? Options:", "Prefer the shorter."])
    imported = import_constitution(mixed, format=Format.ANTHROPIC_PREFERENCE)
    assert [p.preference for p in imported.constitution.principles] == [
        "Which?",
        "Prefer the shorter.",
    ]
    with pytest.raises(InputError, match="not a list"):
        import_constitution(written(INSTRUCTIONS), format=Format.OPEN_CHARACTER)


FULL = Constitution(
    name="full",
    version="2.0",
    description="All there is.",
    preamble="A library.",
    principles=(
        Principle(
            id="kind",
            statement="The assistant is kind.",
            critique="Where is it unkind?",
            revision="Be kinder.",
            preference="Which is kinder?",
            weight=2,
            severity=Severity.HIGH,
            tags=("tone",),
            tests=(PrincipleTest(prompt="Hello?", compliant="Hello!", violating="Go."),),
        ),
        Principle(id="quiet", statement="The assistant is quiet."),
    ),
    stakeholders={"staff": Stakeholder()},
    few_shot=(
        FewShotExample(principle="kind", prompt="p", answer="a", critique="c", revision="r"),
    ),
)
PLACES = {
    "anthropic": "statement preference weight severity tags tests preamble stakeholders few-shot",
    "anthropic-few-shot": "statement preference weight tests preamble quiet",
    "anthropic-preference": "statement critique revision weight few-shot",
    "llm-swarm": "statement preference weight ids preamble",
    "nemo-aligner": "statement preference quiet anthropic",
    "open-character": "critique revision preference answers ids few-shot",
    "open-character-jsonl": "critique revision preference answers ids few-shot",
    "icai": "statement critique revision ids few-shot version description",
    "constitutional-evals": "statement critique revision ids few-shot",
    "langchain": "statement preference weight few-shot",
    "promptfoo": "critique revision preference severity tags few-shot",
    "nemo-guardrails": "critique weight ids few-shot",
    "oumi": "critique severity tests few-shot",
    "principles": "tests stakeholders few-shot description",
}


@pytest.mark.parametrize("format", Format)
def test_every_export_reads_back_and_says_what_it_left_out(written, format):
    exported = export_constitution(FULL, format)
    for word in PLACES[format].split():
        assert any(word in note for note in exported.notes), (word, exported.notes)
    path = written(exported.text, "x.jsonl")
    imported = import_constitution(path)
    assert imported.format == format.removesuffix("-jsonl")
    assert 1 <= len(imported.constitution.principles) <= 2


@pytest.mark.parametrize("name", shipped_constitutions())
@pytest.mark.parametrize("format", ["anthropic", "langchain", "llm-swarm"])
def test_requests_survive_a_round_trip(written, name, format):
    constitution = load_constitution(name)
    text = export_constitution(constitution, Format(format)).text
    back = import_constitution(written(text, "x.jsonl")).constitution
    asked = [(p.critique, p.revision) for p in constitution.principles]
    assert [(p.critique, p.revision) for p in back.principles] == asked
    if format == "llm-swarm":
        assert [e.revision for e in back.few_shot] == [e.revision for e in constitution.few_shot]


def test_a_statement_alone_survives_formats_that_only_ask(written):
    plain = Constitution(name="x", principles=(FULL.principles[1],))
    for format in (Format.ANTHROPIC, Format.LANGCHAIN, Format.ANTHROPIC_PREFERENCE, Format.ICAI):
        text = export_constitution(plain, format).text
        back = only(import_constitution(written(text, "x.jsonl")))
        assert back.content_hash == FULL.principles[1].content_hash


def test_a_format_of_examples_needs_some():
    bare = FULL.model_copy(update={"few_shot": ()})
    for format in (Format.NEMO_ALIGNER, Format.ANTHROPIC_FEW_SHOT):
        with pytest.raises(InputError, match="has no examples"):
            export_constitution(bare, format)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "constitutions system_chat samples criteria trait questions prompt edit_request "
                "critique_request revision_request critic revision name role content".split()
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.none() | st.sampled_from(Format))
def test_no_file_is_more_than_input_that_is_wrong(tmp_path_factory, data, format):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        imported = import_constitution(path, format=format)
    except InputError:
        return
    text = constitution_yaml(imported.constitution)
    assert load_constitution_text(text) == imported.constitution


# Real files


@needs_data
@pytest.mark.parametrize(
    ("file", "format"),
    [
        ("anthropic_cai/CritiqueRevisionInstructions.json", "anthropic"),
        ("anthropic_cai/RLMadisonInstructions.json", "anthropic-preference"),
        ("llm_swarm/constitution_anthropic.json", "llm-swarm"),
    ],
)
def test_the_published_constitutions_have_sixteen_principles(file, format):
    imported = import_constitution(DATA / file)
    assert imported.format == format
    assert len(imported.constitution.principles) == 16
    for principle in imported.constitution.principles:
        for text in (principle.critique, principle.revision, principle.preference):
            affixes = ("CritiqueRequest", "Critique:", "RevisionRequest", "Revision:", "Options:")
            assert not any(affix in (text or "") for affix in affixes)
    data = json.loads((DATA / file).read_text(encoding="utf-8"))
    again = json.loads(export_constitution(imported.constitution, Format(format)).text)
    assert again == data or format == "llm-swarm"
    if format == "llm-swarm":
        assert again["constitutions"] == data["constitutions"]


@needs_data
def test_the_published_examples_are_carried_or_listed():
    imported = import_constitution(
        DATA / "anthropic_cai" / "CritiqueRevisionInstructions.json",
        few_shot=DATA / "anthropic_cai" / "CritiqueRevisionFewShotPrompts.json",
    )
    left = sum("left out: the example" in note for note in imported.notes)
    assert len(imported.constitution.few_shot) + left == 5
    swarm = import_constitution(DATA / "llm_swarm" / "constitution_anthropic.json")
    assert len(swarm.constitution.few_shot) == 4
    with pytest.raises(InputError, match="examples of a judge's reasoning"):
        import_constitution(DATA / "anthropic_cai" / "RLMadisonPrecogFewShotPrompts.json")


def test_the_documentation_lists_every_format():
    page = (Path(__file__).parents[2] / "docs" / "constitution.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| format \| holds .*?\n\n", page, re.MULTILINE | re.DOTALL)
    first = [row.split("|")[1] for row in table.strip().splitlines()]
    named = [name for cell in first for name in re.findall(r"`(.*?)`", cell)]
    assert named == [*Format]


def test_shapes_are_told_apart():
    assert {name: format_of(data, name) for name, data in FILES.items()} == {n: n for n in FILES}
