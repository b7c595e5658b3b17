"""Fields that servers refuse are renamed, limited or left out, once, and the run goes on."""

import pytest

from engine.generators.base import GenerationError
from engine.generators.servers.asked import Asked
from engine.generators.spec import open_generator
from engine.messages import Message
from tests.engine.generators.servers.answering import answer, ask, error, request

SYSTEM = Message("system", "Be kind.")


def learned(refuse, **more):
    """The bodies that a server accepted in three requests, and how many it refused."""
    bodies, refused = [], []

    def handler(body):
        said = refuse(body)
        (refused if said else bodies).append(body)
        return said or answer()

    async def three(generator):
        for n in range(3):
            await generator.generate(request(f"q{n}", SYSTEM))

    ask(handler, three, retries=0, **more)
    return bodies, len(refused)


def test_a_renamed_field():
    def refuse(body):
        if "max_tokens" in body:
            return error(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.")
        return None

    bodies, refused = learned(refuse)
    assert refused == 1
    assert all(body["max_completion_tokens"] == 40 for body in bodies)


def test_a_field_that_takes_one_value():
    def refuse(body):
        if body.get("temperature") != 1:
            return error(
                400, "'temperature' does not support 0.7. Only the default (1) value is supported."
            )
        return None

    bodies, refused = learned(refuse)
    assert (refused, {body["temperature"] for body in bodies}) == (1, {1.0})


def test_fields_that_are_left_out_one_after_the_other():
    def refuse(body):
        for name in ("seed", "top_p"):
            if name in body:
                return error(400, f"Unrecognized request argument supplied: {name}")
        return None

    bodies, refused = learned(refuse)
    assert refused == 2
    assert not any({"seed", "top_p"} & set(body) for body in bodies)


def test_a_seed_that_is_too_large_keeps_its_lower_bits():
    def refuse(body):
        if body["seed"] >= 2**31:
            return error(400, "seed must be less than or equal to 2147483647")
        return None

    bodies, refused = learned(refuse)
    assert (refused, {body["seed"] for body in bodies}) == (1, {2**31 - 1})


def test_a_limit_of_tokens():
    def refuse(body):
        if body["max_tokens"] > 32:
            return error(
                400, "max_tokens is too large: 40. This model supports at most 32 completion tokens"
            )
        return None

    bodies, refused = learned(refuse)
    assert (refused, {body["max_tokens"] for body in bodies}) == (1, {32})


def test_a_system_turn_is_folded_where_there_is_none():
    def refuse(body):
        if any(turn["role"] == "system" for turn in body["messages"]):
            return error(400, "System role not supported")
        return None

    bodies, refused = learned(refuse)
    assert refused == 1
    assert bodies[0]["messages"] == [{"role": "user", "content": "Be kind.\n\nq0"}]


def test_a_system_turn_goes_first():
    seen = []

    def handler(body):
        seen.append([turn["role"] for turn in body["messages"]])
        return answer()

    before = (Message("user", "a"), Message("assistant", "b"), SYSTEM)
    ask(handler, lambda g: g.generate(request("c", *before)))
    assert seen == [["system", "user", "assistant", "user"]]


def test_a_field_of_the_spec_is_never_left_out():
    def refuse(body):
        return (
            error(400, "Unrecognized request argument supplied: top_k") if "top_k" in body else None
        )

    with pytest.raises(GenerationError, match="top_k"):
        learned(refuse, asked=Asked(extra_body={"top_k": 5}))


def test_what_a_spec_says_holds_from_the_first_request():
    asked = Asked(
        renamed={"max_tokens": "max_completion_tokens"},
        omitted=("seed", "temperature"),
        extra_body={"top_k": 5, "chat_template_kwargs": {"x": 1}},
        thinking=False,
        reasoning_effort="low",
    )
    bodies, refused = learned(lambda body: None, asked=asked)
    assert refused == 0
    assert bodies[0] == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "q0"}],
        "max_completion_tokens": 40,
        "top_p": 1.0,
        "top_k": 5,
        "chat_template_kwargs": {"enable_thinking": False, "thinking": False, "x": 1},
        "reasoning_effort": "low",
    }


def test_what_moves_answers_moves_the_fingerprint():
    plain = open_generator("server:m@http://h/v1").fingerprint
    same = ["?timeout=5", "?max_tokens=max_completion_tokens", "?samples=4", "?seed_bits=32"]
    other = ["?omit=seed", "?thinking=off", "?thinking=on", "?thinking=500", "?system=fold",
             '?extra_body={"top_k":5}', "?reasoning_effort=low", "?seed_bits=31"]  # fmt: skip
    assert {open_generator(f"server:m@http://h/v1{o}").fingerprint for o in same} == {plain}
    moved = {open_generator(f"server:m@http://h/v1{o}").fingerprint for o in other}
    assert len(moved | {plain}) == len(other) + 1
