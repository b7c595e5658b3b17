"""Files in, constitutions out: defaults, encodings, what `extends` means, missing files."""

import pytest

from constitution import (
    InputError,
    Severity,
    load_constitution,
    load_constitution_text,
    shipped_constitutions,
)

PRINCIPLE = "principles: [{id: kind, statement: Be kind.}]\n"
GOOD = "name: house-rules\n" + PRINCIPLE


def told_of_file(path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_constitution(path)
    return str(caught.value).splitlines()


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", shipped_constitutions())
def test_every_shipped_constitution_loads(name):
    assert load_constitution(name).name == name


def test_a_file_is_read_with_its_defaults(tmp_path):
    loaded = load_constitution(write(tmp_path, "rules.yaml", GOOD))
    (principle,) = loaded.principles
    assert (loaded.name, loaded.version, principle.id) == ("house-rules", "1.0.0", "kind")
    assert (principle.weight, principle.severity) == (1.0, Severity.MEDIUM)


def test_dates_are_text_and_exponents_are_numbers():
    loaded = load_constitution_text(
        "name: x\nversion: 2026-01-31\nprinciples: [{id: a, statement: b, weight: 1e-3}]\n"
    )
    assert loaded.version == "2026-01-31"
    assert loaded.principles[0].weight == 0.001


def test_aliases_repeat_text():
    loaded = load_constitution_text(
        "name: x\nprinciples:\n- {id: a, statement: s, critique: &ask 'What?'}\n"
        "- {id: b, statement: t, critique: *ask}\n"
    )
    assert [principle.critique for principle in loaded.principles] == ["What?", "What?"]


def test_a_huge_file_is_refused(tmp_path):
    path = write(tmp_path, "rules.yaml", GOOD + "# padding\n" * 200_000)
    assert told_of_file(path) == [f"{path}: is larger than 1,024 KiB; is this a constitution?"]
    with pytest.raises(InputError, match="larger"):
        load_constitution_text("#" * 2**21)


def test_encodings(tmp_path):
    path = tmp_path / "rules.yaml"
    for content in (b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode()):
        path.write_bytes(content)
        assert load_constitution(path).name == "house-rules"
    path.write_bytes(GOOD.encode() + "description: Größe\n".encode("latin-1"))
    assert told_of_file(path) == [f"{path}:3:16: is not UTF-8 (byte 0xf6); save it as UTF-8"]
    path.write_bytes(GOOD.encode("utf-16"))
    assert "is not UTF-8" in told_of_file(path)[0]


def test_a_file_that_is_not_there(tmp_path):
    write(tmp_path, "house-rules.yaml", GOOD)
    (problem,) = told_of_file(tmp_path / "huose-rules.yaml")
    assert problem.endswith("no such file; did you mean 'house-rules.yaml'?")
    (problem,) = told_of_file("harmlesness")
    assert problem == "harmlesness: no such file; did you mean 'harmlessness'?"
    (problem,) = told_of_file(tmp_path)
    assert "is a folder, not a file" in problem and "house-rules.yaml" in problem
    assert "this is text" in told_of_file(GOOD)[0]
    assert "cannot be read" in told_of_file("a\0b")[0]
    assert "cannot be read" in told_of_file("x" * 5000)[0]


def test_extends_merges_parents_first_and_the_child_wins(tmp_path):
    example = "{principle: a, prompt: p, answer: q, critique: c, revision: r}"
    write(
        tmp_path,
        "base.yaml",
        f"""\
name: base
preamble: From the base.
principles: [{{id: a, statement: A., tags: [t]}}, {{id: b, statement: B.}}]
stakeholders: {{legal: {{weights: {{a: 2}}}}, support: {{}}}}
few_shot: [{example}]
""",
    )
    write(tmp_path, "more.yaml", "name: more\nprinciples: [{id: c, statement: C.}]\n")
    child = write(
        tmp_path,
        "child.yaml",
        f"""\
name: child
extends: [base.yaml, more.yaml]
principles: [{{id: d, statement: D.}}, {{id: a, statement: New A.}}]
stakeholders: {{legal: {{weights: {{c: 3}}}}}}
few_shot: [{example}, {example.replace("prompt: p", "prompt: other")}]
""",
    )
    loaded = load_constitution(child)
    assert [p.id for p in loaded.principles] == ["a", "b", "c", "d"]
    assert (loaded.principle("a").statement, loaded.principle("a").tags) == ("New A.", ())
    assert loaded.preamble == "From the base."
    assert dict(loaded.stakeholders["legal"].weights) == {"c": 3}
    assert "support" in loaded.stakeholders
    assert [one.prompt for one in loaded.few_shot] == ["p", "other"]
    assert loaded.extends == ()


def test_the_hash_does_not_depend_on_how_a_constitution_is_split(tmp_path):
    write(tmp_path, "base.yaml", "name: base\nprinciples: [{id: a, statement: A.}]\n")
    text = "name: x\nextends: [base.yaml]\nprinciples: [{id: b, statement: B.}]\n"
    split = load_constitution(write(tmp_path, "split.yaml", text))
    whole = "name: x\nprinciples: [{id: a, statement: A.}, {id: b, statement: B.}]\n"
    assert split.content_hash == load_constitution_text(whole).content_hash


def test_a_shipped_constitution_can_be_extended():
    shipped = load_constitution("harmlessness")
    own = load_constitution_text("extends: [harmlessness]\n" + GOOD)
    assert {p.id for p in own.principles} == {p.id for p in shipped.principles} | {"kind"}


def test_a_parent_may_be_extended_twice(tmp_path):
    write(tmp_path, "base.yaml", "name: base\nprinciples: [{id: a, statement: A.}]\n")
    for side in ("left", "right"):
        write(tmp_path, f"{side}.yaml", f"name: {side}\nextends: [base.yaml]\n")
    child = write(tmp_path, "child.yaml", "name: child\nextends: [left.yaml, right.yaml]\n")
    assert [p.id for p in load_constitution(child).principles] == ["a"]


def test_a_circle_of_extends_is_shown(tmp_path):
    write(tmp_path, "a.yaml", "name: a\nextends: [b.yaml]\n" + PRINCIPLE)
    write(tmp_path, "b.yaml", "name: b\nextends: [c.yaml]\n")
    write(tmp_path, "c.yaml", "name: c\nextends: [a.yaml]\n")
    assert told_of_file(tmp_path / "a.yaml") == [
        f"{tmp_path}/c.yaml:2:11: this file extends itself: a.yaml -> b.yaml -> c.yaml -> a.yaml; "
        "take one of them away"
    ]


def test_what_is_wrong_with_parents_is_told_too(tmp_path):
    write(tmp_path, "base.yaml", "name: base\nprinciples: [{id: a}]\n")
    child = write(
        tmp_path,
        "child.yaml",
        "name: child\nextends: [base.yaml, bsae.yaml, harmlesness]\nprinciples: 3\n",
    )
    problems = told_of_file(child)
    places = [problem.removeprefix(f"{tmp_path}/").split(": ")[0] for problem in problems]
    assert places == ["child.yaml:2:22", "child.yaml:2:33", "child.yaml:3:13", "base.yaml:2:14"]
    assert "; did you mean 'base.yaml'?" in problems[0]
    assert "; did you mean 'harmlessness'?" in problems[1]


def test_a_child_may_name_what_its_parents_have(tmp_path):
    write(tmp_path, "base.yaml", "name: base\nstakeholders: {legal: {}}\n" + PRINCIPLE)
    text = """\
name: child
extends: [base.yaml]
stakeholders: {support: {weights: {kind: 2}}}
principles: [{id: b, statement: B., applies_to: {stakeholders: [legal]}}]
"""
    assert load_constitution(write(tmp_path, "child.yaml", text)).stakeholders.keys() == {
        "legal",
        "support",
    }


def test_a_parent_without_principles_is_a_fragment(tmp_path):
    write(tmp_path, "tone.yaml", "name: tone\npreamble: Be brief.\n")
    child = write(tmp_path, "child.yaml", "extends: [tone.yaml]\n" + GOOD)
    assert load_constitution(child).preamble == "Be brief."
