"""What an evaluation asks: held-out prompts and a constitution, and the sets around them."""

import json
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from constitution.schema import Constitution, Principle
from constitution.selection import draw
from engine.generators.base import Sampling
from engine.judging.records import Method
from engine.messages import Conversation
from engine.prompts.sources import Prompt
from engine.redteam.transforms import ATTACKS
from engine.settings import StakeholderChoice
from training.evaluation.harness.lm_eval_tasks import Harness
from training.evaluation.questions.prompt_sets import OpinionPair
from training.evaluation.questions.swaps import SWAP, Swap, swap_set
from training.evaluation.questions.tasks import Task

__all__ = ["ATTACK", "BENIGN", "HARMFUL", "HELD_OUT", "Questionnaire", "attack_set"]

HELD_OUT, HARMFUL, BENIGN = "held-out", "harmful", "benign"
ATTACK = "attack: "
"""How the name of a set of attacked prompts begins."""
_SHORT = 64
"""Whether an answer refuses shows in its first sentences: those of the refusal sets are no longer."""


def attack_set(name: str) -> str:
    """The name of the harmful prompts under the transform `name`."""
    return f"{ATTACK}{name}"


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """What every model is asked, all of it optional but the held-out prompts.

    Each held-out prompt meets `principles` of the constitution, the same ones for every model.
    `method` is how two models' answers are compared: pairwise in both orders, or by the verdicts
    on each. `helpful` are conversations that end with a good answer, for the perplexity.
    """

    prompts: tuple[Prompt, ...]
    constitution: Constitution
    source: str = ""
    """Where the held-out prompts came from."""
    principles: int = 4
    stakeholder: StakeholderChoice = None
    """A profile that weighs the principles, or shares of several."""
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    method: Method = "pairwise"
    harmful: tuple[Prompt, ...] = ()
    benign: tuple[Prompt, ...] = ()
    attacks: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    harness: Harness | None = None
    opinions: tuple[OpinionPair, ...] = ()
    swaps: tuple[Swap, ...] = ()
    helpful: tuple[Conversation, ...] = ()

    def answered_sets(self) -> dict[str, tuple[Prompt, ...]]:
        """Prompts by the name of their set; attacked ones keep the id of the prompt they are of."""
        sets = {HELD_OUT: self.prompts, HARMFUL: self.harmful, BENIGN: self.benign}
        for name in self.attacks:
            sets[attack_set(name)] = tuple(
                replace(prompt, messages=ATTACKS[name](prompt.messages)) for prompt in self.harmful
            )
        for swap in self.swaps:
            sets |= {swap_set(swap.axis, group): asked for group, asked in swap.groups.items()}
        return {name: prompts for name, prompts in sets.items() if prompts}

    def sampling_of(self, name: str) -> Sampling:
        """How the answers of a set are sampled."""
        if name == HELD_OUT or name.startswith(SWAP):
            return self.sampling
        return self.sampling.bounded(min(_SHORT, self.sampling.max_tokens))

    def identity(self) -> dict[str, str]:
        """What makes it this evaluation and no other: hashes of what is asked, and how."""
        said = [(p.id, [(m.role, m.content) for m in p.messages]) for p in self.prompts]
        digest = blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()
        identity = {
            "constitution": self.constitution.content_hash,
            "prompts": digest,
            "principles per prompt": str(self.principles),
            "comparison": self.method,
            "sampling": f"{self.sampling.model_dump()}, seed {self.seed}",
        }
        return identity | ({"stakeholder": str(self.stakeholder)} if self.stakeholder else {})

    def principles_of(self, prompt: Prompt) -> tuple[Principle, ...]:
        """Those that an answer to `prompt` is judged by."""
        return draw(
            self.constitution,
            prompt_id=prompt.id,
            tags=prompt.tags,
            rounds=self.principles,
            seed=self.seed,
            stakeholder=self.stakeholder,
        )

    def compared_under(self, prompt: Prompt) -> Principle | None:
        """That of two answers to `prompt`: the first that it meets."""
        return next(iter(self.principles_of(prompt)), None)
