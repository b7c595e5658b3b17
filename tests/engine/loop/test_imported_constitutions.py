"""Constitutions of every other project's format go through the loop."""

import json

import pytest

from constitution.interchange import import_constitution
from engine import revise
from engine.generators.scripted import ScriptedGenerator
from tests.constitution.test_interchange import FILES
from tests.engine.builders import paper


@pytest.mark.parametrize("format", FILES)
def test_what_is_imported_is_revised_by(tmp_path, format):
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(FILES[format]), encoding="utf-8")
    rules = import_constitution(file).constitution
    settings = paper(select="every")
    (record,) = revise(["Tell me a joke."], rules, ScriptedGenerator(), settings=settings)
    assert [round.principle for round in record.rounds] == [p.id for p in rules.principles]
    assert record.final != record.answer
