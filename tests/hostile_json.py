"""Values that a file of another program may hold where a reader expects something else."""

from typing import Any

from hypothesis import strategies

__all__ = ["hostile_json"]


def hostile_json(keys: str, words: str = "") -> strategies.SearchStrategy[Any]:
    """Lists and objects of all kinds of values, nested, with these keys and words (space between),
    some numbers beyond what a float holds, and numbers that are not finite."""
    leaves = (
        strategies.sampled_from([None, True, False, 0, 1, -1, 0.5, 10**400, 1e308, "", "1", "x"])
        | strategies.sampled_from([float("nan"), float("inf"), -float("inf")])
        | strategies.sampled_from(words.split() or [""])
    )
    return strategies.recursive(
        leaves,
        lambda inner: (
            strategies.lists(inner, max_size=3)
            | strategies.dictionaries(strategies.sampled_from(keys.split()), inner, max_size=4)
        ),
        max_leaves=12,
    )
