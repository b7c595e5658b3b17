"""Settings that several commands have: bounds and description are declared here for all of them."""

from typing import Annotated

from pydantic import Field

__all__ = ["JudgeAnyway", "KeepTruncated", "Seed", "SmallestMass", "Threshold"]

Seed = Annotated[int, Field(ge=0, lt=2**32, description="Seed of draws and sampling.")]
KeepTruncated = Annotated[
    bool,
    Field(
        description="Keep what runs into max_tokens, flagged; `solon train` then masks the "
        "end-of-turn token."
    ),
]
SmallestMass = Annotated[
    float,
    Field(
        ge=0,
        le=1,
        description="A judge whose probability of giving any of the answers offered is below this "
        "gave none.",
    ),
]
Threshold = Annotated[
    float, Field(ge=0, le=1, description="Probability from which a verdict is a violation.")
]
JudgeAnyway = Annotated[
    bool,
    Field(
        description="Go on with a judge that cannot tell the constitution's own violating answers "
        "from its compliant ones."
    ),
]
