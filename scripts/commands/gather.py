"""`solon gather`: the shards of a run as one run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.commands import options as o

if TYPE_CHECKING:
    from engine.runs.gather import Gathered

__all__ = ["gather", "print_gathered"]


def gather(
    out: Annotated[Path, typer.Argument(help="The --out of the commands run with --shard.")],
    merge_caches: Annotated[
        bool,
        typer.Option(
            "--merge-caches", help="Also merge their caches, so that --update re-uses them."
        ),
    ] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Keep the records of an earlier gathering in previous/."),
    ] = False,
    overwrite: o.Overwrite = False,
) -> None:
    """Make one run of all shards: the records that one process would have written.

    Killed or interrupted, it is begun again. Exits 1 if conversations failed.
    """
    from engine.runs.finished_shards import finished_shards
    from engine.runs.gather import gather_run
    from scripts.commands.run_command import run_mode

    mode = run_mode(update=update, overwrite=overwrite, retry_failed=False)
    shards = finished_shards(out)
    if shards[0].kind == "evaluate":
        from training.evaluation.shards import gather_evaluation

        new = gather_evaluation(out, shards, mode)
        typer.echo(f"{out}: {len(shards)} shards gathered: {new:,} answers and verdicts")
        typer.echo("  the command without --shard makes the figures and the page of them")
        return
    code = print_gathered(gather_run(out, shards, mode), len(shards))
    if merge_caches:
        _merge_caches(out, [shard.path / "completions.sqlite" for shard in shards])
    raise typer.Exit(code)


def print_gathered(gathered: "Gathered", shards: int) -> int:
    """Print what a gathered run holds; the exit code."""
    done = f"{shards} shards gathered"
    if gathered.before:
        done = "complete already (--overwrite gathers again)"
    total, failed = gathered.totals.get("records", 0), gathered.totals.get("failed", 0)
    typer.echo(f"{gathered.path}: {done}: {total:,} records, {failed:,} failed")
    return 1 if failed else 0


def _merge_caches(out: Path, caches: list[Path]) -> None:
    from engine.storage.sqlite import merge_stores

    there = [cache for cache in caches if cache.is_file()]
    new = merge_stores(out / "completions.sqlite", there)
    typer.echo(f"  {new:,} completions added from the caches of {len(there)} shards")
    if len(there) < len(caches):
        typer.echo(f"  the caches of the other {len(caches) - len(there)} are on other disks")
