import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from constitution.problems import InputError
from engine.generators import transformers
from engine.generators.base import FailureReason, GenerationError, Request, Sampling
from engine.generators.fingerprint import fingerprint_model
from engine.generators.transformers import TransformersGenerator
from engine.generators.transformers_batch import generate_batch
from engine.messages import Conversation, Message, TokenIds
from tests.engine.tiny_model import build_tiny_model, build_tiny_tokenizer

T = TypeVar("T")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


def ask(model: Path, use: Callable[[TransformersGenerator], Awaitable[T]], **options: Any) -> T:
    async def main() -> T:
        generator = TransformersGenerator(model, **options)
        await generator.start()
        await generator.start()
        try:
            return await use(generator)
        finally:
            await generator.close()

    return asyncio.run(main())


def user(text: str) -> Conversation:
    return (Message("user", text),)


def requests(**sampling: Any) -> list[Request]:
    """Prompts of different lengths, samplings alike but for the seed."""
    return [
        Request(user("why " * number), Sampling(max_tokens=12, **sampling), seed=number)
        for number in range(1, 7)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [{}, {"top_p": 0.5}, {"temperature": 0.0}])
def test_a_request_has_the_same_completion_alone_and_in_any_batch(model, sampling):
    async def alone_and_together(generator: TransformersGenerator) -> tuple[list[Any], list[Any]]:
        wanted = requests(**sampling)
        alone = [await generator.generate(request) for request in wanted]
        mates = [Request(user("x"), Sampling(max_tokens=3, top_p=0.9), seed=9)]
        together = await asyncio.gather(*map(generator.generate, wanted + mates))
        return alone, together[:-1]

    alone, together = ask(model, alone_and_together)
    assert alone == together
    assert len({completion.tokens for completion in alone}) > 1


@pytest.mark.slow
def test_seeds_move_samples_and_lengths_are_kept(model):
    async def several(generator: TransformersGenerator) -> list[Any]:
        base = Request(user("hi"), Sampling(max_tokens=5, min_tokens=5), seed=1)
        varied = [base, replace(base, seed=2), replace(base, seed=1)]
        return list(await asyncio.gather(*map(generator.generate, varied)))

    one, other, again = ask(model, several)
    assert one == again != other
    for completion in (one, other):
        assert completion.completion_tokens == 5
        assert completion.finish_reason == "length"
        assert len(completion.tokens.ids) == 5


@pytest.mark.slow
def test_an_end_token_stops_a_row_and_is_not_repeated(tmp_path):
    ends = list(range(2, 200))
    model = build_tiny_model(tmp_path, eos_token_id=ends)

    async def until_stopped(generator: TransformersGenerator) -> list[Any]:
        sampling = Sampling(max_tokens=40, min_tokens=2)
        seeds = [Request(user("hi"), sampling, seed=seed) for seed in range(8)]
        return list(await asyncio.gather(*map(generator.generate, seeds)))

    done = ask(model, until_stopped)
    assert {completion.finish_reason for completion in done} == {"stop"}
    assert len({completion.completion_tokens for completion in done}) > 1
    for completion in (c for c in done if c.tokens is not None):
        assert len(completion.tokens.ids) == completion.completion_tokens - 1 >= 2
        assert not set(completion.tokens.ids) & set(ends)


@pytest.mark.slow
def test_a_choice_is_a_distribution_and_does_not_depend_on_the_batch(model):
    async def choices(generator: TransformersGenerator) -> list[Any]:
        asked = [user("a"), user("why not this " * 3)]
        alone = [await generator.choose(messages, ("Yes", "No")) for messages in asked]
        generation = generator.generate(requests()[0])
        together = await asyncio.gather(
            *(generator.choose(messages, ("Yes", "No")) for messages in asked), generation
        )
        return [*alone, *together[:-1]]

    one, two, one_again, two_again = ask(model, choices)
    assert sum(one.probabilities) == pytest.approx(1)
    assert 0 < one.mass < 1
    assert one_again.probabilities == pytest.approx(one.probabilities, rel=1e-4)
    assert two_again.probabilities == pytest.approx(two.probabilities, rel=1e-4)


@pytest.mark.slow
def test_an_answer_is_scored_as_the_model_would_have_sampled_it(model):
    """The first token's score is its probability as a choice; the sampled tokens are scored."""

    async def scores(generator: TransformersGenerator) -> Any:
        request = Request(user("hi"), Sampling(max_tokens=9, temperature=1.0), seed=3)
        completion = await generator.generate(request)
        answered = (*user("hi"), completion.message)
        yes = await generator.choose(user("hi"), ("Yes", "B"))
        said = await generator.score((*user("hi"), Message("assistant", "Yes")))
        empty = await generator.score((*user("hi"), Message("assistant", "")))
        with pytest.raises(ValueError, match="assistant's turn"):
            await generator.score(user("hi"))
        with pytest.raises(GenerationError, match="do not fit"):
            await generator.score((*user("hi"), Message("assistant", "why " * 300)))
        return completion, await generator.score(answered), yes, said, empty

    completion, score, yes, said, empty = ask(model, scores)
    assert len(score.logprobs) == len(completion.tokens.ids)
    assert score.prompt_tokens == completion.prompt_tokens
    assert max(score.logprobs) < 0
    assert said.logprobs[0] < math.log(yes.probabilities[0] * yes.mass) + 1e-4
    assert empty.logprobs == ()


@pytest.mark.slow
def test_scores_are_the_log_softmax_of_the_models_logits(model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    reference = AutoModelForCausalLM.from_pretrained(model)
    prompt = tokenizer.encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    answer = tokenizer.encode("The answer is safe.")
    with torch.inference_mode():
        table = reference(torch.tensor([prompt + answer])).logits[0].log_softmax(-1)
    expected = [float(table[len(prompt) + at - 1, token]) for at, token in enumerate(answer)]
    turn = Message("assistant", "The answer is safe.")
    score = ask(model, lambda generator: generator.score((*user("hi"), turn)))
    assert score.logprobs == pytest.approx(expected, abs=1e-5)
    assert score.prompt_tokens == len(prompt)


@pytest.mark.slow
def test_an_answer_that_was_begun_is_continued(model):
    """Sampling the whole at temperature 0 and continuing half of it end in the same tokens."""

    async def halves(generator: TransformersGenerator) -> Any:
        greedy = Sampling(max_tokens=12, min_tokens=12, temperature=0.0)
        whole = await generator.generate(Request(user("hi"), greedy, seed=0))
        half = TokenIds(whole.tokens.tokenizer, whole.tokens.ids[:6])
        text = generator._started.encoder.decode(half.ids)
        rest = Sampling(max_tokens=6, min_tokens=6, temperature=0.0)
        begun = (*user("hi"), Message("assistant", text, half))
        return whole, await generator.generate(Request(begun, rest, seed=0)), text

    whole, rest, text = ask(model, halves)
    assert whole.tokens.ids[6:] == rest.tokens.ids
    assert rest.prompt_tokens == whole.prompt_tokens + 6
    assert whole.text == text + rest.text or "\ufffd" in text


@pytest.mark.slow
def test_a_prompt_beyond_the_context_fails_alone(model):
    with pytest.raises(GenerationError, match="do not fit the model's 256") as caught:
        ask(model, lambda generator: generator.choose(user("why? " * 300), ("Yes", "No")))
    assert caught.value.reason is FailureReason.CONTEXT_OVERFLOW


@pytest.mark.slow
def test_a_completion_is_cut_where_the_context_ends(model):
    request = Request(user("why? " * 44), Sampling(max_tokens=500, min_tokens=500), seed=0)
    completion = ask(model, lambda generator: generator.generate(request))
    assert completion.finish_reason == "length"
    assert completion.prompt_tokens + completion.completion_tokens == 256


@pytest.mark.slow
def test_what_is_not_a_model_is_an_input_error(tmp_path):
    build_tiny_tokenizer(tmp_path)
    with pytest.raises(InputError, match="does not load"):
        asyncio.run(TransformersGenerator(tmp_path).start())


@pytest.mark.slow
def test_loading_a_model_prints_nothing(model, capfd):
    async def nothing(generator: TransformersGenerator) -> None:
        pass

    ask(model, nothing)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_a_fingerprint_is_of_content_and_options_not_of_place(tmp_path):
    def write(name: str, weight: bytes, config: str = "{}") -> Path:
        directory = tmp_path / name
        directory.mkdir()
        (directory / "config.json").write_text(config, encoding="utf-8")
        (directory / "model.safetensors").write_bytes(weight)
        return directory

    big = bytes(6_000_000)
    one = write("one", big)
    assert fingerprint_model(one) == fingerprint_model(write("two", big))
    others = [
        fingerprint_model(write("longer", big + b"\0")),
        fingerprint_model(write("last", big[:-1] + b"\1")),
        fingerprint_model(write("config", big, "[]")),
        fingerprint_model(one, dtype="bfloat16"),
        fingerprint_model("org/name"),
        fingerprint_model("org/name", revision="v2"),
    ]
    assert len({fingerprint_model(one), *others}) == 7


@pytest.mark.slow
def test_a_batch_waits_as_long_as_requests_go_on_arriving(model, monkeypatch):
    sizes = []

    def counted(loaded, rows, *rest):
        sizes.append(len(rows))
        return generate_batch(loaded, rows, *rest)

    async def one_after_another(generator: TransformersGenerator) -> None:
        async def late(number: int, request: Request) -> None:
            await asyncio.sleep(0.2 * number)
            await generator.generate(request)

        await asyncio.gather(*(late(*each) for each in enumerate(requests())))

    monkeypatch.setattr(transformers, "generate_batch", counted)
    ask(model, one_after_another, gather=0.4)
    assert sizes == [6]
    ask(model, one_after_another, gather=0.4, batch_size=4)
    assert sizes == [6, 4, 2]
