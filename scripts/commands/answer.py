"""`solon answer`: a model's own answers to prompts, as rows to mix into training data."""

import typer

from scripts.commands import options as o

__all__ = ["answer"]


def answer(
    prompts: o.Prompts,
    model: o.Model,
    out: o.Out,
    seed: o.Seed = 0,
    max_tokens: o.MaxTokens = 512,
    temperature: o.Temperature = 0.7,
    top_p: o.TopP = 1.0,
    keep_truncated: o.KeepTruncated = False,
    prompt_column: o.PromptColumn = None,
    id_column: o.IdColumn = None,
    limit: o.Limit = None,
) -> None:
    """Answer prompts; empty and truncated answers are counted, and left out."""
    from engine.generators.base import Sampling
    from engine.generators.spec import open_generator
    from engine.loop.answer import write_answers
    from engine.prompts.sources import open_prompts
    from scripts.commands.terminal import all_problems, error_console, run_interruptibly

    source, generator = all_problems(
        lambda: open_prompts(
            prompts, prompt_column=prompt_column, id_column=id_column, limit=limit
        ),
        lambda: open_generator(model),
    )
    console = error_console()
    console.print(f"{generator.spec} answers {source.count:,} prompts")
    sampling = Sampling(max_tokens, temperature, top_p)
    work = write_answers(source, generator, sampling, seed, out, keep_truncated=keep_truncated)
    counts = run_interruptibly(work, lambda: console.print("stopping: answers are kept"))
    typer.echo(f"{out / 'answers.jsonl'}: {counts.written:,} answers")
    for name in ("truncated", "empty", "failed"):
        if count := getattr(counts, name):
            kept = keep_truncated and name == "truncated"
            typer.echo(f"  {count:,} {'of them' if kept else 'left out'}: {name}")
    raise typer.Exit(1 if counts.failed else 0)
