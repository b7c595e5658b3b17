"""The bytes of records, which runs are resumed from and other programs read."""

import pytest

from engine.judging.records import LabelDropReason, LabelOutcome, LabelRecord
from engine.messages import Message, TokenIds
from engine.records import AnswerOutcome, AnswerRecord, Outcome, Record, Verdict
from engine.redteam.records import AttackOutcome, AttackRecord, Attempt
from engine.writing.records import WriteOutcome, WrittenPrompt

PROMPT = (Message("user", "Hi?"), Message("assistant", "Hé.", TokenIds("t", (1, 2))))
MADE_BY = {"models": {"policy": "scripted"}, "sampling": {"policy": {"max_tokens": 8}}}
COMMON = {"id": "a", "row": 3, "prompt": PROMPT, "tags": ("t",), "extra": {"x": 1}, **MADE_BY}
VERDICT = Verdict(principle="p", principle_hash="h", violates=True, probability=0.9, mass=1.0)
ATTEMPT = Attempt(tactic="plain", turn=0, asked=PROMPT, answer="No.", verdict=VERDICT)
RECORDS = [
    Record(**COMMON, answer="A", final="A", outcome=Outcome.COMPLIANT, constitution="c"),
    AnswerRecord(**COMMON, answer="A", outcome=AnswerOutcome.ANSWERED),
    LabelRecord(
        **COMMON,
        outcome=LabelOutcome.DROPPED,
        drop_reason=LabelDropReason.TOO_FEW_ANSWERS,
        constitution="c",
    ),
    AttackRecord(
        **COMMON,
        turns="multi",
        attempts=(ATTEMPT,),
        outcome=AttackOutcome.BROKEN,
        constitution="c",
    ),
    WrittenPrompt(**COMMON, written=PROMPT, outcome=WriteOutcome.WRITTEN, constitution="c"),
]
TURNS = '[{"role":"user","content":"Hi?"},{"role":"assistant","content":"Hé."}]'
HEAD = f'{{"id":"a","row":3,"prompt":{TURNS},"tags":["t"],'
TAIL = (
    '"models":{"policy":"scripted"},"sampling":{"policy":{"max_tokens":8}},"seed":0,'
    '"usage":{"requests":0,"prompt_tokens":0,"completion_tokens":0},"extra":{"x":1}}'
)
BODIES = [
    '"answer":"A","answer_reasoning":null,"answer_flags":[],"first_verdicts":[],"rounds":[],'
    '"final":"A","outcome":"compliant","drop_reason":null,"final_verdicts":[],"unresolved":[],'
    '"undone":[],"escalate":false,"constitution":"c",',
    '"answer":"A","reasoning":null,"truncated":false,"outcome":"answered","drop_reason":null,',
    '"samples":[],"pairs":[],"outcome":"dropped","drop_reason":"too_few_answers",'
    '"constitution":"c",',
    '"principle":"","principle_hash":"","turns":"multi","attempts":[{"tactic":"plain","turn":0,'
    f'"asked":{TURNS},"answer":"No.","verdict":{{"principle":"p","principle_hash":"h",'
    '"violates":true,"probability":0.9,"mass":1.0,"reason":null,"failed":[],"samples":null}}],'
    '"unused":0,"outcome":"broken","constitution":"c",',
    f'"written":{TURNS},"said":"","situation":null,"answers":[],"broken":null,'
    '"outcome":"written","drop_reason":null,"constitution":"c",',
]


@pytest.mark.parametrize(("record", "body"), list(zip(RECORDS, BODIES, strict=True)))
def test_the_bytes_of_a_record_are_these(record, body):
    assert record.model_dump_json() == HEAD + body + TAIL
    assert record.model_dump()["prompt"][1] == {"role": "assistant", "content": "Hé."}
    assert type(record).model_validate_json(HEAD + body + TAIL) == record
    with pytest.raises(ValueError, match="frozen"):
        record.seed = 1
