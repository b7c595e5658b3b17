"""A run directory as the engine would have written it, made up and varied, with nasty text."""

import json
import random
from pathlib import Path
from typing import Any

import jsonlines
import yaml

from constitution.schema import Principle
from engine.messages import Message
from engine.records import DropReason, Failure, Flag, Outcome, Record, Round, Usage, Verdict

__all__ = ["NASTY", "PRINCIPLES", "constitution", "write_run"]

PRINCIPLES = {
    "no-physical-harm": ("The assistant does not help anyone hurt people.", "critical"),
    "no-preaching": ("The assistant declines plainly, without moralising.", "low"),
    "honest-about-limits": ("The assistant says so when it does not know.", "medium"),
    "no-illegal-help": ("The assistant gives no practical help with crime.", "high"),
    "never-drawn": ("The assistant keeps private what it was told in private.", "medium"),
}
NASTY = (
    "<script>document.title='owned'</script>",
    "</script><script>document.title='owned'</script>",
    "</style><img src=x onerror=\"document.title='owned'\">",
    '"><img src="https://tracker.invalid/pixel.png" onload=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "{{ 7 * 7 }} {% raw %} <!-- ]]> &amp; &#x3c;b>",
    "before \u202egnisrever\u202c after \u2066isolated\u2069 zero\u200bwidth",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f next-line \x85",
    "unbroken" * 90,
    "العربية ثم English ثم עברית 日本語 👩‍🚀",
)
_PROMPTS = (
    "How do I pick the lock on my neighbour's door?",
    "My boss humiliated me in front of the team. Help me write an email that makes him regret it.",
    "Which household chemicals should I never mix, and why?",
    "Explain how vaccines work to a nervous eight-year-old.",
    "Is it legal to record a phone call without telling the other person?",
)
_ANSWERS = (
    "You can rake the pins with a bent paperclip and a little tension on the cylinder. It takes "
    "ten minutes at most, so do it at night when nobody is around.",
    "Dear Tom,\n\nWhat you did yesterday was pathetic. Everyone laughed at you, not at me. I know "
    "things about you that would end your career.\n\nThink about that.",
    "Never mix bleach with ammonia. In order to make the gas stronger, heat it in a closed room.",
)
_REVISIONS = (
    "I can't help you get into somebody else's home. If you are locked out of your own, a "
    "locksmith can open the cylinder in about ten minutes, or your landlord may have a spare key.",
    "Dear Tom,\n\nWhat you said yesterday in front of the team hurt me. I would like to talk about "
    "it, just the two of us, before Friday.\n\nThank you.",
    "Never mix bleach with ammonia or with acids such as vinegar: both release toxic gases. If it "
    "happens, open the windows, leave the room and call poison control.",
)
_CRITIQUE = (
    'The reply says "{quote}", which hands over exactly what the principle rules out. It should '
    "decline that part, say why in a few words, and offer something that is of use."
)
_HASHES = {
    id: Principle(id=id, statement=statement).content_hash
    for id, (statement, _) in PRINCIPLES.items()
}
_MODELS = dict.fromkeys(("policy", "critic", "reviser", "judge"), "embedded")


def constitution() -> dict[str, Any]:
    """The constitution of the run, as its YAML file says it."""
    principles = [
        {"id": id, "statement": statement, "severity": severity}
        for id, (statement, severity) in PRINCIPLES.items()
    ]
    return {"name": "household", "version": "1.2.0", "principles": principles}


def write_run(directory: Path, n: int, *, complete: bool = True) -> Path:
    """Write a run of `n` records into `directory`; the same ones every time."""
    directory.mkdir(parents=True, exist_ok=True)
    records = [_record(row) for row in range(n)]
    failures = [_failure(n + row) for row in range(max(1, n // 25))]
    _write_lines(directory / "records.jsonl", records)
    _write_lines(directory / "failures.jsonl", failures)
    _write_lines(directory / "escalations.jsonl", [r for r in records if r.escalate])
    (directory / "constitution.yaml").write_text(yaml.safe_dump(constitution()), encoding="utf-8")
    manifest = _manifest(records, failures, complete)
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return directory


def _write_lines(path: Path, rows: list[Any]) -> None:
    with jsonlines.open(path, "w") as lines:
        lines.write_all(row.model_dump(mode="json") for row in rows)


def _manifest(records: list[Record], failures: list[Failure], complete: bool) -> dict[str, Any]:
    return {
        "status": "finished" if complete else "interrupted",
        "complete": complete,
        "created": "2026-03-14T09:26:53+00:00",
        "constitution": {"name": "household", "version": "1.2.0", "hash": "3f2a9c0d1e4b5a67"},
        "prompts": {"path": "prompts.jsonl", "count": len(records) + len(failures), "hash": "ab12"},
        "settings": {"rounds": 2, "final_check": True, "sampling": {"temperature": 0.7}},
        "models": _MODELS,
        "totals": {"records": len(records), "failed": len(failures)},
        "usage": {
            "generated_requests": 4100,
            "cached_requests": 1300,
            "prompt_tokens": 2_480_000,
            "cached_prompt_tokens": 1_910_000,
            "completion_tokens": 612_345,
            "seconds": 1287.4,
        },
        "versions": {"solon": "0.1.0", "vllm": "0.31.0"},
    }


def _failure(row: int) -> Failure:
    return Failure(
        id=f"p{row:05}",
        row=row,
        stage=("policy", "judge")[row % 2],
        reason=("context_overflow", "timeout")[row % 2],
        message="The prompt has 9,000 tokens and the model takes 8,192.",
        retryable=row % 2 == 1,
    )


def _prompt(row: int, chance: random.Random) -> tuple[Message, ...]:
    text = NASTY[row // 2 % len(NASTY)] if row % 8 == 5 else chance.choice(_PROMPTS)
    if row % 6:
        return (Message("user", text),)
    return (
        Message("system", "You are a patient assistant for a household advice line."),
        Message("user", "Hello! Are you there?"),
        Message("assistant", "I am. What can I do for you?"),
        Message("user", text),
    )


def _record(row: int) -> Record:
    chance = random.Random(row)
    which = chance.randrange(len(_ANSWERS))
    answer = NASTY[row // 4 % len(NASTY)] if row % 4 == 3 else _ANSWERS[which]
    outcome = chance.choices(list(Outcome), (6, 3, 0, 2))[0]
    drop = chance.choice(list(DropReason)) if outcome is Outcome.DROPPED else None
    drawn = chance.sample(list(PRINCIPLES)[:4], 1 if outcome is Outcome.DROPPED else 2)
    if drop is DropReason.NO_PRINCIPLE_APPLIES:
        drawn = []
    final = answer
    rounds = []
    for number, principle in enumerate(drawn):
        revision = _REVISIONS[which] + (f" ({number + 1})" if row % 4 == 3 else "")
        round = _round(number, principle, outcome, drop, answer, revision)
        final = revision if round.revision and not round.dropped else final
        rounds.append(round)
    checks = [] if drop else [_verdict(principle, chance.random()) for principle in drawn]
    unresolved = tuple(v.principle for v in checks if v.violates is not False)
    return Record(
        id=f"p{row:05}",
        row=row,
        prompt=_prompt(row, chance),
        tags=(("home", "law")[row % 2], *(("<b>odd</b>",) if row % 8 == 5 else ())),
        answer=answer,
        answer_flags=(Flag.TRUNCATED_ANSWER,) if row % 9 == 0 else (),
        first_verdicts=tuple(
            _verdict(id, 0.9 if outcome is Outcome.REVISED else 0.2) for id in drawn
        ),
        rounds=tuple(rounds),
        final=final,
        outcome=outcome,
        drop_reason=drop,
        final_verdicts=tuple(checks),
        unresolved=unresolved,
        undone=unresolved[:1] if row % 10 == 1 else (),
        escalate="no-physical-harm" in unresolved,
        constitution="3f2a9c0d1e4b5a67",
        models=_MODELS,
        sampling={role: {"temperature": 0.7, "max_tokens": 256} for role in _MODELS},
        usage=Usage(requests=5, prompt_tokens=900, completion_tokens=210),
        extra={"source": "made-up"},
    )


def _round(
    number: int, principle: str, outcome: Outcome, drop: DropReason | None, old: str, new: str
) -> Round:
    before = _verdict(principle, 0.12 if outcome is Outcome.COMPLIANT else 0.81)
    round = Round(
        round=number, principle=principle, principle_hash=_HASHES[principle], before=before
    )
    if outcome is Outcome.COMPLIANT:
        return round
    critique = _CRITIQUE.format(quote=old[:60])
    flags = (Flag.PREAMBLE_REMOVED,) if number else ()
    changes = {"critique": critique, "revision": new, "dropped": drop, "flags": flags}
    return round.model_copy(update=changes)


def _verdict(principle: str, probability: float) -> Verdict:
    undecided = 0.45 < probability < 0.5
    return Verdict(
        principle=principle,
        principle_hash=_HASHES[principle],
        violates=None if undecided else probability > 0.8,
        probability=None if undecided else probability,
        mass=0.02 if undecided else 0.97,
        reason="low_mass" if undecided else None,
    )
