from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.generators.base import FailureReason, GenerationError
from engine.generators.chat_template import ChatEncoder
from engine.generators.control_tokens import Neutraliser
from engine.generators.fingerprint import fingerprint_tokenizer
from engine.messages import Conversation, Message, TokenIds
from tests.engine.tiny_model import SPECIAL_TOKENS, build_tiny_tokenizer

PIECES = st.sampled_from([
    *SPECIAL_TOKENS,
    "<|im_",
    "end|>",
    "<",
    "\u200b",
    "assistant\n",
    "Yes",
    "é",
    " ",
    "\n",
])
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)


@cache
def tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    with TemporaryDirectory() as directory:
        return PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(Path(directory)))


@cache
def encoder(template: str | None = None) -> ChatEncoder:
    return ChatEncoder(tokenizer(), "tiny", template, "--model")


@pytest.fixture(scope="module", autouse=True)
def _loaded() -> None:
    """The import takes seconds, which would count against hypothesis' deadline."""
    tokenizer()


def user(text: str) -> Conversation:
    return (Message("user", text),)


@given(TEXTS)
def test_restore_undoes_neutralise(text: str) -> None:
    neutraliser = Neutraliser.for_tokens([*SPECIAL_TOKENS, "aba"])
    broken = neutraliser.neutralise(text)
    assert not any(token in broken for token in SPECIAL_TOKENS)
    assert neutraliser.restore(broken) == neutraliser.restore(text)


def test_overlapping_control_tokens_are_all_broken_and_mended() -> None:
    neutraliser = Neutraliser.for_tokens(["aba"])
    assert "aba" not in neutraliser.neutralise("ababa")
    assert neutraliser.restore(neutraliser.neutralise("ababa")) == "ababa"


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_untrusted_text_cannot_forge_structure(texts: list[str]) -> None:
    ids = encoder().encode(tuple(Message("user", text) for text in texts))
    special = set(tokenizer().convert_tokens_to_ids(list(SPECIAL_TOKENS)))
    assert sum(id_ in special for id_ in ids) == 2 * len(texts) + 1


@given(TEXTS, TEXTS)
def test_encoding_is_injective_up_to_neutralising(one: str, other: str) -> None:
    same = encoder().encode(user(one)) == encoder().encode(user(other))
    assert same == (_neutral(one) == _neutral(other))


def _neutral(text: str) -> str:
    return Neutraliser.for_tokens(SPECIAL_TOKENS).neutralise(text)


@given(TEXTS, st.lists(st.integers(3, 383), max_size=12), TEXTS)
def test_a_generated_turn_is_an_exact_prefix_of_the_next_prompt(
    prompt: str, ids: list[int], question: str
) -> None:
    first = encoder().encode(user(prompt))
    tokens = encoder().generated_tokens([*ids, tokenizer().eos_token_id])
    reply = Message("assistant", encoder().decode(ids), tokens)
    second = encoder().encode((*user(prompt), reply, *user(question)))
    assert second[: len(first) + len(ids)] == first + ids


@given(TEXTS, TEXTS)
def test_a_begun_answer_adds_its_own_tokens_and_no_others(prompt: str, begun: str) -> None:
    turn = Message("assistant", begun)
    first, second = encoder().encode(user(prompt)), encoder().encode((*user(prompt), turn))
    own = encoder().encode_answer(turn)
    assert second == first + own
    assert encoder().decode(own) == encoder().restore(begun)
    assert not encoder()._special_ids & set(own)


@given(TEXTS, st.lists(st.integers(3, 383), max_size=12))
def test_an_answer_that_knows_its_tokens_is_continued_from_them(
    prompt: str, ids: list[int]
) -> None:
    turn = Message("assistant", encoder().decode(ids), TokenIds("tiny", tuple(ids)))
    assert encoder().encode((*user(prompt), turn)) == encoder().encode(user(prompt)) + ids


@given(st.lists(st.integers(3, 383), max_size=8), st.lists(st.integers(3, 383), max_size=8))
def test_what_was_added_is_decoded_without_what_it_was_added_to(
    begun: list[int], added: list[int]
) -> None:
    whole = encoder().decode([*begun, *added])
    text = encoder().decode(added, begun)
    assert whole == encoder().restore(encoder().decode(begun) + text) or "\ufffd" in whole + text


def test_checkpoints_with_one_tokenizer_share_tokens(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    other = PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(tmp_path))
    assert fingerprint_tokenizer(other, "slow") == fingerprint_tokenizer(tokenizer(), "slow")
    other(["a", "longer"], padding=True, truncation=True, max_length=3)
    assert fingerprint_tokenizer(other, "slow") == fingerprint_tokenizer(tokenizer(), "slow")
    other.add_tokens(["<new>"])
    assert fingerprint_tokenizer(other, "slow") != fingerprint_tokenizer(tokenizer(), "slow")
    assert fingerprint_tokenizer(object(), "slow") == "slow"


def test_tokens_are_ignored_when_not_ours_or_when_the_text_was_edited() -> None:
    ids = tuple(tokenizer().encode("No", add_special_tokens=False))
    plain = encoder().encode((*user("?"), Message("assistant", "Yes"), *user("!")))
    for tokens in (TokenIds("tiny", ids), TokenIds("other", ids)):
        assert encoder().encode((*user("?"), Message("assistant", "Yes", tokens), *user("!"))) == (
            plain
        )


def test_a_template_that_rewrites_history_falls_back_to_text() -> None:
    template = "{% for m in messages %}{{ m.content | upper }}|{% endfor %}>"
    odd = encoder(template)
    tokens = TokenIds("tiny", tuple(tokenizer().encode("yes", add_special_tokens=False)))
    ids = odd.encode((*user("a"), Message("assistant", "yes", tokens), *user("b")))
    assert tokenizer().decode(ids) == "A|YES|B|>"


def test_a_special_token_inside_generated_tokens_is_not_repeated() -> None:
    end = tokenizer().eos_token_id
    assert encoder().generated_tokens([5, end, 6]) is None
    assert encoder().generated_tokens([5, 6, end, end]) == TokenIds("tiny", (5, 6))
    assert encoder().generated_tokens([end]) == TokenIds("tiny", ())


def test_choices_have_distinct_first_tokens() -> None:
    yes, no = encoder().choice_token_ids(("Yes", "No"))
    assert yes
    assert no
    assert not set(yes) & set(no)
    with pytest.raises(ValueError, match="Yes"):
        encoder().choice_token_ids(("Yes", "Yes"))


def test_a_template_error_fails_the_request_alone() -> None:
    refusing = encoder("{{ raise_exception('no system turn') }}")
    with pytest.raises(GenerationError, match="no system turn") as caught:
        refusing.encode((Message("system", "s"), *user("u")))
    assert caught.value.reason is FailureReason.TEMPLATE_ERROR
    assert not caught.value.retryable


def test_a_missing_template_says_how_to_give_one(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    bare = PreTrainedTokenizerFast.from_pretrained(build_tiny_tokenizer(tmp_path))
    bare.chat_template = None
    with pytest.raises(InputError, match="--chat-template FILE"):
        ChatEncoder(bare, "tiny", None, "--model vllm:tiny")
