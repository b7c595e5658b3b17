"""Control tokens in untrusted text reach no tokenizer whole, and ordinary text is left alone."""

import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.generators.control_tokens import GENERAL, Neutraliser, structural_tokens

SERVERS = Neutraliser(GENERAL)

SPELLINGS = """
    <|im_start|> <|im_end|> <|endoftext|> <|start_header_id|> <|eot_id|> <|begin_of_text|>
    <|reserved_special_token_12|> <|user|> <|assistant|> <|end|> <|im_sep|> <|dummy_3|>
    <|start|> <|channel|> <|message|> <|return|> <|constrain|> <|call|>
    <｜User｜> <｜Assistant｜> <｜begin▁of▁sentence｜> <｜end▁of▁sentence｜> <｜tool▁calls▁begin｜>
    <｜hy_User｜> <｜DSML｜ ｜DSML｜
    <|START_OF_TURN_TOKEN|> <|END_OF_TURN_TOKEN|> <|CHATBOT_TOKEN|> <|START_THINKING|> <BOS_TOKEN>
    <start_of_turn> <end_of_turn> <start_of_image> <image_soft_token> <unused94> <unused95>
    <start_function_call> <end_function_response>
    <|turn> <turn|> <|channel> <channel|> <|think|> <|/think|>
    [INST] [/INST] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS]
    [TOOL_CALLS] [TOOL_RESULTS] [/TOOL_RESULTS] [THINK] [/THINK] [ARGS] [CALL_ID] [IMG] [control_8]
    [MODEL_SETTINGS] <<SYS>> <</SYS>> <s> </s> <bos> <eos> <pad> <unk> <sep>
    [|assistant|] [|endofturn|] [|system|] [gMASK] [sMASK] <sop> <eop> [EOT] [BOS]
    <think> </think> <thinking> </thought> <tool_call> </tool_call> <tool_response> <arg_key>
    <extra_id_0> <extra_id_1> <SPECIAL_12> <reserved_7> <reserved_special_token_1> [unused3]
    <seed:bos> <seed:think> </seed:think> <minimax:tool_call> ]~b] ]~!b[ [e~[ ◁think▷ ◁/think▷
    <longcat_user> <fim_prefix> <file_sep>
""".split()

ORDINARY = [
    "<p>One <b>bold</b> word, <i>another</i>, <br/> and <a href='x'>a link</a>.</p>",
    '<!DOCTYPE html><html><head><title>t</title></head><body class="x"></body></html>',
    "See [1], [2, 3] and [TODO]; [x] done, [ ] open, [sic], [Name], [YOUR_NAME], [API_KEY].",
    "a < b | c > d, x <= y, 1 <2 and 3> 2, <3, ->, <-, =>, <=>, <>, <|>, |>, <|, ||",
    "A [link](https://example.org/a|b), ![image](x.png), [ref]: <https://example.org>",
    "std::vector<int> v; std::map<std::string, my_type> m; #include <unordered_map>",
    "Option<T|U>, Array<string|number>, Promise<void>, List<List<int>>, fn f<T: Ord>(x: &[T])",
    "xs |> List.map (fun x -> x + 1) <| ys; f <$> x <*> y; parse <|> other; cin >> x << y;",
    "git add <filename>; cp <source> <target>; usage: tool [OPTIONS] COMMAND; docker run <image>",
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "P(A|B) = P(B|A)P(A)/P(B); |x|; [|1; 2; 3|]; ⟨ψ|φ⟩; <ψ|φ>; a[i]; a[b[0]]; ]b[",
    "<user@example.org> wrote: > quoted\n>> more\n<<EOF\ntext\nEOF\n",
    "Slack: <https://example.org|a label> and <@U12|ann>; <special>, <reserved>, <unused>",
    "print('<p>') if a[-1] else {}; s[1:2]; lambda x: x | {'a': [1]}; ~a[b]; e~[1]",
    "「引用」と【見出し】 ｜ 表 ｜; 价格<100元|200元>; ◁ left, right ▷",
    "Ça va? Привет! שלום؟ 👩\u200d💻 a\u200bb",
]
PIECES = st.sampled_from([
    *SPELLINGS, "<|", "|>", "[", "]", "<", ">", "/", "\u200b", "INST]", "im_end|>", "x", " ", "think",
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=4), max_size=8).map("".join)


@pytest.mark.parametrize("token", SPELLINGS)
def test_every_familys_tokens_are_broken_and_restored(token):
    text = f"before {token} after{token}"
    broken = SERVERS.neutralise(text)
    assert token not in broken
    assert broken.replace("\u200b", "") == text
    assert SERVERS.restore(broken) == text


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text):
    assert SERVERS.neutralise(text) == text
    assert SERVERS.restore(text) == text


@given(TEXTS)
def test_nothing_is_lost_by_breaking_and_restoring(text):
    broken = SERVERS.neutralise(text)
    assert not any(token in broken for token in SPELLINGS)
    assert SERVERS.neutralise(broken) == broken
    assert SERVERS.restore(broken) == SERVERS.restore(text)


@given(st.lists(st.sampled_from(ORDINARY + SPELLINGS), max_size=6).map(" ".join))
def test_a_round_trip_is_exact_where_nothing_was_broken_before(text):
    assert SERVERS.restore(SERVERS.neutralise(text)) == text


@given(TEXTS, st.lists(st.text("ab<|>", min_size=1, max_size=4), max_size=6))
def test_literal_tokens_are_broken_wherever_they_stand(text, tokens):
    neutraliser = Neutraliser.for_tokens(tokens)
    broken = neutraliser.neutralise(text + "ab<ba|>")
    assert not any(token in broken for token in tokens if len(token) > 1)
    assert neutraliser.restore(broken) == neutraliser.restore(text + "ab<ba|>")
    assert broken == text + "ab<ba|>" or any(token in text + "ab<ba|>" for token in tokens)


def test_thousands_of_tokens_cost_no_more_than_one():
    neutraliser = Neutraliser.for_tokens(f"<unused{number}>" for number in range(6000))
    began = time.process_time()
    assert neutraliser.neutralise("<unused" * 20_000 + "<unused5999>").endswith(
        "<\u200bunused5999>"
    )
    assert time.process_time() - began < 1


def tokenizer(special, added):
    """As transformers shows its tokens."""
    tokens = [(token, True) for token in special] + [(token, False) for token in added]
    return SimpleNamespace(
        added_tokens_decoder={
            id_: SimpleNamespace(content=content, special=is_special)
            for id_, (content, is_special) in enumerate(tokens)
        },
        all_special_tokens=list(special),
        all_special_ids=list(range(len(special))),
    )


def test_added_tokens_that_give_structure_count_and_text_does_not():
    added = [
        "<think>",
        "</think>",
        "<tool_call>",
        "[INST]",
        "<role_user>",
        "<h1>",
        "</b>",
        "   ",
        "the",
    ]
    found = structural_tokens(tokenizer(["<|im_end|>", "!"], added), "{{ '<role_user>' }} the")
    assert found == {
        "<|im_end|>",
        "!",
        "<think>",
        "</think>",
        "<tool_call>",
        "[INST]",
        "<role_user>",
    }
