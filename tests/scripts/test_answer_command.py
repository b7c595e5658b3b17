"""What the command says of an answer run, in words."""

from engine.messages import Message
from engine.records import AnswerDrop, AnswerOutcome, AnswerRecord, Failure
from scripts.commands.answer import print_answers


def record(row, drop=None):
    outcome = AnswerOutcome.DROPPED if drop else AnswerOutcome.ANSWERED
    prompt = (Message("user", "Hi?"),)
    return AnswerRecord(
        id=str(row), row=row, prompt=prompt, answer="Hi.", outcome=outcome, drop_reason=drop
    )


def failure(row, reason):
    return Failure(id=str(row), row=row, stage="policy", reason=reason, message="", retryable=True)


def test_reasons_are_words_and_the_most_frequent_is_first(tmp_path, capsys):
    drops = (None, AnswerDrop.TRUNCATED, AnswerDrop.EMPTY, AnswerDrop.EMPTY)
    failures = ("timeout", "server_error", "server_error")
    files = {
        "records.jsonl": [record(row, drop) for row, drop in enumerate(drops)],
        "failures.jsonl": [failure(row, reason) for row, reason in enumerate(failures, 4)],
    }
    for name, rows in files.items():
        text = "".join(f"{row.model_dump_json()}\n" for row in rows)
        (tmp_path / name).write_text(text, encoding="utf-8")
    print_answers(tmp_path, {"complete": True})
    assert capsys.readouterr().out.splitlines()[1:] == [
        "  2 left out: empty",
        "  1 left out: truncated",
        "  2 failed: server error",
        "  1 failed: timeout",
    ]
