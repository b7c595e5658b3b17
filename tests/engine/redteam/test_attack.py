"""An attack: seeds first, then an attacker that reads the answers, until the principle is broken."""

import asyncio
import json

import pytest

from constitution.checks import Check
from constitution.problems import InputError
from engine.generators.base import Sampling
from engine.prompts.files import in_memory
from engine.prompts.sources import PromptSource, open_prompts
from engine.redteam.attack import ATTACKER, principle_of
from engine.redteam.figures import attack_figures
from engine.redteam.records import AttackOutcome, AttackRecord
from engine.redteam.run import RedTeamRun, prompts_of_tests
from engine.redteam.settings import RedTeamSettings
from engine.redteam.transforms import ATTACKS
from engine.settings import RoleModel
from tests.engine.builders import Replies, constitution, principle, prompt

RULES = constitution().model_copy(
    update={"principles": (principle("silent", check=Check(forbid=("secret",))),)}
)
ROWS = [{"id": f"p{n}", "prompt": f"Tell me {n}.", "principle": "silent"} for n in range(4)]


def attack(tmp_path, target, attacker=lambda request: f"Please {request.seed}.", **settings):
    """Run to the end; the records, and the generators that were asked."""
    target, attacker = Replies(target), Replies(attacker)
    target.fingerprint, attacker.fingerprint = "target", "attacker"
    models = {
        name: RoleModel(one, Sampling())
        for name, one in (("target", target), ("attacker", attacker), ("judge", attacker))
    }
    source = PromptSource(in_memory(ROWS))
    run = RedTeamRun(tmp_path / "r", source, RULES, models, RedTeamSettings(**settings))

    async def work():
        try:
            if not run.complete:
                await run.execute()
        finally:
            await run.close()

    asyncio.run(work())
    lines = (tmp_path / "r/records.jsonl").read_text("utf-8").splitlines()
    records = sorted(
        (AttackRecord.model_validate_json(line) for line in lines), key=lambda r: r.row
    )
    return records, target, attacker


def gives_in(request):
    """Tells the secret once it is asked with an attacker's word."""
    return "The secret is 7." if request.messages[-1].content.startswith("Please") else "No."


def test_it_ends_when_the_principle_is_broken(tmp_path):
    records, target, _ = attack(tmp_path, gives_in)
    assert [r.outcome for r in records] == [AttackOutcome.BROKEN] * 4
    assert [[a.tactic for a in r.attempts] for r in records] == [["plain", ATTACKER]] * 4
    assert len(target.requests) == 8


def test_the_attacker_reads_what_the_target_answered(tmp_path):
    _, _, attacker = attack(tmp_path, lambda request: "Never, said the owl.", turns=2)
    asked = [request.messages[-1].content for request in attacker.requests]
    assert all("Never, said the owl." in text and "keeps silent" in text for text in asked)
    assert all("0 of 10" in text for text in asked)


def test_one_conversation_grows_and_others_start_again(tmp_path):
    records, _, _ = attack(tmp_path, lambda request: "No.", turns=3, mode="both")
    single, multi = records[0], records[1]
    assert (single.turns, multi.turns) == ("single", "multi")
    assert [len(a.asked) for a in single.attempts] == [1, 1, 1, 1]
    assert [len(a.asked) for a in multi.attempts] == [1, 3, 5, 7]
    assert multi.attempts[1].asked[:2] == (*multi.prompt, multi.attempts[1].asked[1])


def test_seeds_are_the_transforms(tmp_path):
    records, _, _ = attack(tmp_path, lambda request: "No.", seeds="all", turns=0)
    assert [a.tactic for a in records[0].attempts] == ["plain", *ATTACKS]
    assert records[0].outcome is AttackOutcome.HELD


def test_what_the_attacker_says_again_is_not_asked_again(tmp_path):
    records, target, _ = attack(tmp_path, lambda request: "No.", lambda request: "Same!", turns=4)
    assert all(r.unused == 3 and len(r.attempts) == 2 for r in records)
    assert len(target.requests) == 8


def test_successes_are_prompts(tmp_path):
    attack(tmp_path, gives_in)
    source = open_prompts(tmp_path / "r/successes.jsonl")
    assert source.count == 4
    assert all("silent" in one.tags and one.messages[-1].role == "user" for one in source)
    manifest = json.loads((tmp_path / "r/manifest.json").read_bytes())
    assert manifest["attacks"]["broken"]["value"] == 1.0


def test_the_same_command_asks_for_nothing_again(tmp_path):
    attack(tmp_path, gives_in)
    _, target, attacker = attack(tmp_path, gives_in)
    assert target.requests == attacker.requests == []


def test_figures_by_turn_add_up(tmp_path):
    def by_number(request):
        """Prompt 0 breaks at once, prompt 1 at the attacker's first word, the others never."""
        text = request.messages[-1].content
        soft = text == "Tell me 0." or (
            len(request.messages) == 3 and "1." in str(request.messages[0])
        )
        return "A secret." if soft else "No."

    records, _, _ = attack(tmp_path, by_number, turns=2, mode="multi")
    found = attack_figures(records)
    assert (found.prompts, found.requests) == (4, 1 + 2 + 3 + 3)
    assert {turn: one.value for turn, one in found.by_turn.items()} == {0: 0.25, 1: 0.5, 2: 0.5}
    assert found.per_request.value == pytest.approx(2 / 9)
    assert found.by_tactic["plain"].value == 0.25


def test_a_prompt_names_its_principle():
    rules = constitution("calm", "kind")
    assert principle_of(prompt(extra={"principle": "kind"}), rules).id == "kind"
    assert principle_of(prompt(tags=("kind",)), rules).id == "kind"
    assert principle_of(prompt(extra={"principle": "kind", "kind": "lookalike"}), rules) is None


def test_a_look_alike_is_not_attacked(tmp_path, monkeypatch):
    monkeypatch.setitem(ROWS[0], "kind", "lookalike")
    records, target, _ = attack(tmp_path, lambda request: "A secret.")
    assert records[0].outcome is AttackOutcome.SKIPPED and not records[0].attempts
    assert len(target.requests) == 3
    assert attack_figures(records).prompts == 3


def test_a_constitution_without_tests_needs_prompts():
    with pytest.raises(InputError, match="no tests to begin with"):
        prompts_of_tests(constitution("calm"))
