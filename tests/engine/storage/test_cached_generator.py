"""What is asked of the models of roles before a run spends anything."""

from engine.generators.preflight import Task
from engine.generators.scripted import ScriptedGenerator
from engine.settings import roles
from engine.storage.cached_generator import preflight_of


def test_an_idle_role_is_not_asked_and_the_others_are():
    writer, judge = ScriptedGenerator(spec="scripted:w"), ScriptedGenerator(spec="scripted:j")
    models = dict(roles(writer, judge=judge))
    assert preflight_of(models).tasks == {writer: Task(writes=True), judge: Task(judges=True)}
    assert preflight_of(models, {"policy", "critic", "reviser"}).tasks == {judge: Task(judges=True)}
    both = dict(roles(writer))
    assert preflight_of(both).tasks == {writer: Task(judges=True, writes=True)}
