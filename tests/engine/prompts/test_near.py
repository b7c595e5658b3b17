"""Of texts that say nearly the same, one is kept."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.prompts.near import THRESHOLD, jaccard, shingles, unlike


def test_the_first_of_what_is_alike_is_kept():
    texts = [
        "Where is the parcel that I ordered last week from your shop?",
        "where is the parcel, that I ordered last week from your shop",
        "Where is the parcel that I ordered last week from your site?",
        "How do I cancel my subscription?",
        "",
        "",
    ]
    assert unlike(texts) == [True, False, False, True, True, False]


@settings(max_examples=60)
@given(st.lists(st.text("abcd ", max_size=30), max_size=12))
def test_what_is_kept_is_unlike_and_what_is_not_is_like_something_kept(texts):
    kept = unlike(texts)
    for place, text in enumerate(texts):
        before = [texts[at] for at in range(place) if kept[at]]
        alike = any(
            jaccard(shingles(text), shingles(one)) >= THRESHOLD or text.split() == one.split()
            for one in before
        )
        assert kept[place] is not alike or not text.split()
