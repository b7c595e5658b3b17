"""Critique and revise a file of prompts from Python: the same run that `solon revise` makes."""

import sys

from constitution import load_constitution
from engine import LoopSettings, Record, Sampling, open_generator, revise

__all__ = ["main"]


def main(prompts: str, out: str, model: str = "embedded") -> None:
    """Print each conversation as it finishes; run it again and only what is missing is done."""
    constitution = load_constitution("harmlessness")
    results = revise(
        prompts,
        constitution,
        open_generator(model),
        settings=LoopSettings(rounds=2),
        sampling=Sampling(max_tokens=256),
        out=out,
    )
    for result in results:
        print(result.id, result.outcome if isinstance(result, Record) else result.message)


if __name__ == "__main__":
    main(*sys.argv[1:])
