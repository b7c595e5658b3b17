from hypothesis import given
from hypothesis import strategies as st

from engine.generators.system_turns import fold_system, system_first
from engine.messages import Message

MESSAGES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["system", "user", "assistant"]),
        st.sampled_from("abc") | st.just(""),
    ),
    max_size=6,
).map(tuple)


def turns(text):
    """`s:be kind u:hi` as a conversation."""
    roles = {"s": "system", "u": "user", "a": "assistant"}
    return tuple(Message(roles[part[0]], part[2:]) for part in text.split())


def test_a_conversation_without_a_system_turn_is_the_same():
    plain = turns("u:hi a:hello u:why")
    assert system_first(plain) is plain
    assert fold_system(plain) is plain


def test_one_in_front_stays_and_is_folded_into_the_first_user_turn():
    told = turns("s:kind u:hi a:hello u:why")
    assert system_first(told) is told
    assert fold_system(told) == (Message("user", "kind\n\nhi"), *told[2:])


def test_later_ones_are_merged_in_order_in_front():
    told = turns("s:one u:hi s:two a:hello s:three u:why")
    said = "one\n\ntwo\n\nthree"
    assert system_first(told) == (Message("system", said), *turns("u:hi a:hello u:why"))
    assert fold_system(told) == (Message("user", f"{said}\n\nhi"), *turns("a:hello u:why"))


def test_without_a_user_turn_the_system_turn_is_one():
    assert fold_system(turns("s:kind")) == turns("u:kind")
    assert fold_system(turns("s:kind a:hello")) == turns("u:kind a:hello")


def test_an_empty_one_is_left_out():
    assert fold_system((Message("system", " "), *turns("u:hi"))) == turns("u:hi")


@given(MESSAGES)
def test_nothing_is_lost_and_no_system_turn_is_left_where_none_may_be(messages):
    first, folded = system_first(messages), fold_system(messages)
    assert all(message.role != "system" for message in first[1:])
    assert all(message.role != "system" for message in folded)
    for done in (first, folded):
        assert [m.content for m in done if m.role == "assistant"] == [
            m.content for m in messages if m.role == "assistant"
        ]
        said = "".join(message.content for message in done)
        assert all(message.content in said for message in messages)
    assert system_first(first) == first
    assert fold_system(folded) == folded
    assert fold_system(first) == folded
