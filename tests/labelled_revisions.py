"""Revisions and critiques labelled by hand, and how well the rules of hygiene agree.

`data/revisions.jsonl` has, in each row, a conversation, what critic and reviser made of it, and a
label: `fit`, or the reason why the revision may not replace the answer as training data as far as
its form goes. Rules were written with the `dev` rows in sight; the `held_out` ones are for figures.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from constitution.loader import load_constitution
from constitution.schema import Principle
from engine.loop.critiques import critique_drop
from engine.loop.hygiene import clean_revision
from engine.loop.reply import reply_of
from engine.messages import Message

DATA = Path(__file__).parent / "data"
FIT = "fit"
LONGEST = 4.0
CONSTITUTIONS = ("customer-service", "harmlessness")


@dataclass(frozen=True)
class Labelled:
    id: str
    split: str
    label: str
    also: tuple[str, ...]
    """Reasons that a reader would accept as well: a text may be bad in several ways."""
    source: str
    prompt: tuple[Message, ...]
    answer: str
    critique: str
    revision: str | None
    """None where the label is the critique's."""
    requests: tuple[str, ...]
    principle: Principle


@dataclass(frozen=True)
class Agreement:
    """How often a reason was given rightly (precision) and found where it is so (recall)."""

    given: int
    there: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.given if self.given else 1.0

    @property
    def recall(self) -> float:
        return self.right / self.there if self.there else 1.0


@cache
def labelled_revisions() -> tuple[Labelled, ...]:
    shown = json.loads((DATA / "revision_requests.json").read_text(encoding="utf-8"))
    lines = (DATA / "revisions.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_labelled(json.loads(line), shown) for line in lines)


def _labelled(row: dict, shown: dict) -> Labelled:
    prompt = tuple(Message(turn["role"], turn["content"]) for turn in row["prompt"])
    examples = () if row["source"].endswith("continued") else shown["few_shot"]
    requests = (*shown["principles"][row["principle"]], *examples)
    texts = {key: row[key] for key in ("id", "split", "label", "source", "answer", "critique")}
    more = {"revision": row["revision"], "also": tuple(row["also"])}
    principle = _principles()[row["principle"]]
    return Labelled(**texts, **more, prompt=prompt, requests=requests, principle=principle)


@cache
def _principles() -> dict[str, Principle]:
    """Of the shipped constitutions, by id."""
    shipped = map(load_constitution, CONSTITUTIONS)
    return {principle.id: principle for rules in shipped for principle in rules.principles}


def found_by_rules(row: Labelled) -> str:
    """What the loop would say of a row: the critique comes first."""
    dropped = critique_drop(reply_of(row.critique), row.principle)
    if dropped is None and row.revision is not None:
        dropped = clean_revision(
            reply_of(row.revision),
            prompt=row.prompt,
            answer=row.answer,
            critique=row.critique,
            requests=row.requests,
            longest=LONGEST,
        ).dropped
    return dropped or FIT


def agreement(
    rows: Sequence[Labelled], found: Callable[[Labelled], str] = found_by_rules
) -> dict[str, Agreement]:
    """By reason (`fit` among them), and `dropped` for all reasons together."""
    found_in = [(row, found(row)) for row in rows]
    pairs = [(row.label, row.label if given in row.also else given) for row, given in found_in]
    names = sorted({name for pair in pairs for name in pair})
    told = {
        name: Agreement(
            sum(given == name for _, given in pairs),
            sum(label == name for label, _ in pairs),
            sum(label == given == name for label, given in pairs),
        )
        for name in names
    }
    drops = [(label != FIT, given != FIT) for label, given in pairs]
    dropped = Agreement(sum(g for _, g in drops), sum(t for t, _ in drops), sum(map(all, drops)))
    return {**told, "dropped": dropped}
