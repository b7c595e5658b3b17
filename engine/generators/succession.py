"""One model after another: the next one takes over what the last one has running, if it can."""

from engine.generators.base import Generator
from engine.generators.embedded import EmbeddedGenerator
from engine.generators.vllm import VllmGenerator

__all__ = ["succeed"]


async def succeed(old: Generator, new: Generator) -> None:
    """Close `old`, which was started and answers no more, and start `new`.

    A checkpoint of the same model takes over the engine with its own weights in it, in seconds
    rather than a minute (only with vLLM, and only where nothing but weights differs).
    """
    running = old.backend_generator if isinstance(old, EmbeddedGenerator) else old
    if isinstance(running, VllmGenerator) and isinstance(new, VllmGenerator | EmbeddedGenerator):
        await new.take_over(running)
    await old.close()
    await new.start()
