"""Whatever sees text of models, prompts or files takes time in proportion to it.

Processor time is measured, so that a busy machine does not fail a linear function.
"""

import ast
import dataclasses
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, strategies

from constitution.problems import visible
from constitution.schema import Principle, slug
from engine.generators.control_tokens import GENERAL, Neutraliser
from engine.generators.reasoning import closing_of
from engine.judging import refusal
from engine.judging.refusal import detect_refusal
from engine.loop import hygiene, rendering
from engine.loop.critiques import critique_drop
from engine.loop.hygiene import clean_revision
from engine.loop.rendering import quoted
from engine.loop.reply import reply_of
from engine.messages import Message
from engine.prompts.written_turns import written_conversation
from tests.hostile_text import END, pumped
from training.evaluation.questions.tasks import Item

ROOT = Path(__file__).parents[1]
PACKAGES = ("constitution", "engine", "training", "scripts")
SIZES = (8_000, 64_000, 1_000_000)
SLOWEST_TRIED_LARGE = 1
SECONDS_FOR_A_CHARACTER = 2e-6
"""One second for a megabyte, and as much again for a busy machine. A quadratic pattern takes an
hour for that, and is found at one of the smaller sizes."""

COMPILED_ELSEWHERE = {
    "engine/generators/scripted.py": "the rules of a user's own script",
    "engine/generators/control_tokens.py": "a tokenizer's control tokens, timed below",
    "engine/judging/refusal.py": "RULES, each built by one function at import",
    "engine/judging/refusal_languages.py": "LANGUAGE_RULES, each built by one function at import",
    "training/trainers/lora.py": "the user's own pattern, for names of modules, as peft matches it",
}


def modules() -> Iterator[object]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.startswith("scripts.bench"):
                yield importlib.import_module(module.name)


def patterns_in(value: object, depth: int = 0) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif depth < 4:
        for part in parts_of(value):
            yield from patterns_in(part, depth + 1)


def parts_of(value: object) -> list[object]:
    if isinstance(value, tuple | list | set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name, None) for field in dataclasses.fields(value)]
    return []


PATTERNS = {
    (pattern.pattern, pattern.flags): pytest.param(pattern, id=f"{module.__name__}.{name}")
    for module in modules()
    for name, value in vars(module).items()
    for pattern in patterns_in(value)
}


def seconds(function: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    function(text)
    return time.process_time() - began


def slowest(function: Callable[[str], object], texts: Iterator[str]) -> list[str]:
    """Texts that take longest; a quadratic one at once, without trying the others."""
    timed = []
    for text in texts:
        taken = seconds(function, text)
        timed.append((taken, text))
        if taken > 0.1 and seconds(function, text) > 0.1:
            return [text]
    return [text for _, text in sorted(timed, reverse=True)[:SLOWEST_TRIED_LARGE]]


def check_linear(function: Callable[[str], object], pattern: re.Pattern[str]) -> None:
    for text in slowest(function, pumped(pattern, SIZES[0])):
        core = text.removesuffix(END)
        for size in SIZES:
            longer = core * (size // len(core)) + END
            allowed = 0.05 + SECONDS_FOR_A_CHARACTER * len(longer)
            taken = seconds(function, longer)
            if taken >= allowed:
                taken = seconds(function, longer)
            told = f"{taken:.2f} s for {len(longer):,} characters: {text[:60]!r}..."
            assert taken < allowed, told


@pytest.mark.parametrize("pattern", PATTERNS.values())
def test_patterns_are_linear(pattern):
    """Searched for in every text, which covers `match` and `fullmatch`: those that are only used
    so start with \\A, and fail at once everywhere else."""
    check_linear(lambda text: sum(1 for _ in pattern.finditer(text)), pattern)
    check_linear(pattern.fullmatch, pattern)


def test_patterns_are_found():
    assert len(PATTERNS) > 40
    names = {parameter.id for parameter in PATTERNS.values()}
    assert {"engine.loop.rendering._TAG", "engine.judging.refusal.RULES"} <= names


class Calls(ast.NodeVisitor):
    """Uses of `re` that compile a pattern when a function is called."""

    def __init__(self):
        self.found, self.depth = [], 0

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_Call(self, node):
        match node.func:
            case ast.Attribute(value=ast.Name(id="re"), attr=used) if used != "escape":
                if used != "compile" or self.depth:
                    self.found.append((node.lineno, used))
        self.generic_visit(node)


def test_every_pattern_is_compiled_where_the_test_above_finds_it():
    unknown = {}
    for path in sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py")):
        calls = Calls()
        calls.visit(ast.parse(path.read_text(encoding="utf-8")))
        if calls.found and str(path.relative_to(ROOT)) not in COMPILED_ELSEWHERE:
            unknown[str(path)] = calls.found
    assert not unknown, "compile these at the module's top level"


# Functions ----------------------------------------------------------------------------------------

WORDS = "the reply falls short of what the principle asks and so it should be written again "


FORBIDS = Principle(id="none", statement="The assistant gives no information about a weapon.")


def leak(text: str) -> object:
    critique = WORDS * (len(text) // len(WORDS))
    return clean_revision(
        reply_of(critique[1:-1]),
        prompt=(),
        answer=critique[1:],
        critique=critique,
        requests=(),
        longest=9.0,
    )


def revision(text: str) -> object:
    """Every rule is tried: nothing is long for so long an answer, and `text` is asked for too."""
    said = (Message("user", WORDS * (len(text) // len(WORDS))),)
    return clean_revision(
        reply_of(text),
        prompt=said,
        answer=text[1:],
        critique=text[::2],
        requests=(text,),
        longest=9,
    )


FUNCTIONS = {
    "neutralise": Neutraliser.for_tokens(["<|im_end|>", "<s>", "[INST]"]).neutralise,
    "restore": Neutraliser.for_tokens(["<|im_end|>", "<s>", "[INST]"]).restore,
    "neutralise for servers": Neutraliser(GENERAL).neutralise,
    "restore for servers": Neutraliser(GENERAL).restore,
    "quoted": quoted,
    "visible": visible,
    "reasoning": reply_of,
    "end of a thought": closing_of,
    "end of a channel": lambda text: closing_of("<|channel|>" + text),
    "leak": leak,
    "revision": revision,
    "critique": lambda text: critique_drop(reply_of(text), FORBIDS),
    "refusal": detect_refusal,
    "written conversation": written_conversation,
    "last number": Item("id", (), "7").score_text,
    "last words": Item("id", (), "seven").score_text,
    "slug": lambda text: slug(text, 80),
}
UNITS = (
    " ",
    "a",
    "\n",
    "<",
    "< ",
    "a ",
    "<\u200b|im_end|>",
    "####",
    "<think>",
    "1,",
    "[",
    '{"a":',
    "I ",
    "Human: a\n",
)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_linear(name, unit):
    function = FUNCTIONS[name]
    for size in SIZES[1:]:
        text = unit * (size // len(unit)) + END
        allowed = 0.1 + 4 * SECONDS_FOR_A_CHARACTER * size
        assert seconds(function, text) < allowed or seconds(function, text) < allowed


# What the linear patterns find is what the plain ones would -----------------------------------------

PLAIN = {
    "tag": (
        rendering._TAG,
        r"(?i)[<\uff1c](?=~(?:/~)?(?:conversation|example|r~e~p~l~y(?:~_~[ab])?|s~y~s~t~e~m|user"
        r"|a~s~s~i~s~t~a~n~t)(?![^\W\u3164]))".replace("~", r"(?:[^\w!-\x7e\uff1c]|\u3164)*"),
    ),
    "preamble": (
        hygiene._PREAMBLE,
        r"(?i)\A\s*(?:"
        r"(?:sure|certainly|of course|absolutely|okay|ok|understood|thank you|thanks)\b[^\n]*"
        r"\b(?:here|below|following|revised|rewritten|reply|response|answer|version)\b[^\n]*"
        r"|[^\n]{0,80}\b(?:revised|rewritten|improved|updated|corrected)\s+"
        r"(?:reply|response|answer|version|text)\b[^\n]{0,80}"
        r"|(?:here(?:['’]s| is)|below is) (?:a|my|the) revision"
        r"):\**[ \t]*\n+",
    ),
    "delivers": (
        refusal._DELIVERS,
        r"(?im)^\s*(?:step\s+1|1[.)]\s)|\bhere(?:'s| is| are) (?:a|an|the|some|how|\d+|one|your)\b",
    ),
}
PIECES = {
    "tag": ["<", "<", "\uff1c", " ", "\u200b", "\u3164", "/", "\n", "reply", "reply_a", "system", "users",
            "re", "ply", ">", "x"],
    "preamble": ["Sure", "ok", " ", "\n", ":", ":\n", "*", "here", "the", "revised", "reply", "\t",
                 "Here is", " my revision", ", "],
    "delivers": [" ", "\n", "step", "1", "1.", "2)", "here is", " a", "\r", "x", "\n\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
@given(data=strategies.data())
def test_linear_patterns_find_what_the_plain_ones_would(name, data):
    pattern, plain = PLAIN[name]
    pieces = strategies.lists(strategies.sampled_from(PIECES[name]), max_size=14)
    text = "".join(data.draw(pieces))
    ours, theirs = pattern.search(text), re.search(plain, text)
    assert (ours is None) == (theirs is None)
    if ours and name != "delivers":  # of which only whether it is there is asked
        assert ours.span() == theirs.span()
