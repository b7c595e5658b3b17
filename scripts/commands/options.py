"""Command-line options that several commands share, each said once."""

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "ChatTemplate",
    "ConstitutionFile",
    "Critic",
    "EveryPrinciple",
    "FinalCheck",
    "IdColumn",
    "Judge",
    "KeepTruncated",
    "Limit",
    "MaxTokens",
    "Model",
    "Out",
    "Overwrite",
    "PlanOnly",
    "PromptColumn",
    "Prompts",
    "Reviser",
    "Rounds",
    "Seed",
    "Stakeholder",
    "StopWhenCompliant",
    "TagsColumn",
    "Temperature",
    "TopP",
    "Update",
    "WindowSize",
]


def _option(panel: str, text: str, *names: str, **rules: Any) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel, **rules)


_FILES, _MODELS, _LOOP, _SAMPLING = "Input and output", "Models", "The loop", "Sampling"

ConstitutionFile = Annotated[
    str, _option(_FILES, "A YAML file, or a shipped name.", "--constitution", "-c")
]
Prompts = Annotated[
    str,
    _option(_FILES, "JSONL, JSON, CSV, Parquet, a saved dataset, or hf:NAME.", "--prompts", "-p"),
]
Out = Annotated[
    Path, _option(_FILES, "The run directory; the same command resumes it.", "--out", "-o")
]
PromptColumn = Annotated[str | None, _option(_FILES, "Column that holds the prompt.")]
IdColumn = Annotated[str | None, _option(_FILES, "Column that holds the id.")]
TagsColumn = Annotated[str | None, _option(_FILES, "Column that holds the tags.")]
Limit = Annotated[int | None, _option(_FILES, "Only the first N prompts.", min=1, metavar="N")]
Update = Annotated[
    bool,
    _option(
        _FILES,
        "The constitution was edited: generate what the edit touches, keep the old records beside.",
        "--update",
    ),
]
Overwrite = Annotated[
    bool, _option(_FILES, "Discard the records of another run in --out.", "--overwrite")
]
PlanOnly = Annotated[
    bool, _option(_FILES, "Print calls, tokens and time to expect, and stop.", "--plan")
]

Model = Annotated[
    str,
    _option(
        _MODELS,
        "embedded, vllm:NAME, server:MODEL@URL, transformers:NAME or scripted[:FILE]; "
        "engine options follow as ?key=value&key=value.",
        "--model",
        "-m",
    ),
]
Critic = Annotated[
    str | None, _option(_MODELS, "Another model as critic, reviser and judge.", metavar="SPEC")
]
Reviser = Annotated[str | None, _option(_MODELS, "Another model as reviser.", metavar="SPEC")]
Judge = Annotated[str | None, _option(_MODELS, "Another model as judge.", metavar="SPEC")]
ChatTemplate = Annotated[
    Path | None, _option(_MODELS, "A Jinja file, for models without a chat template.")
]

Rounds = Annotated[int, _option(_LOOP, "Principles drawn per conversation.", min=1)]
EveryPrinciple = Annotated[
    bool, _option(_LOOP, "Use every principle that applies.", "--every-principle")
]
StopWhenCompliant = Annotated[
    bool, _option(_LOOP, "Judge first; leave compliant answers alone.", "--stop-when-compliant")
]
FinalCheck = Annotated[bool, _option(_LOOP, "Judge the final answer on every principle it met.")]
Stakeholder = Annotated[
    str | None,
    _option(
        _LOOP, "A profile that weighs the principles, or shares of several: user=2,business=1."
    ),
]
Seed = Annotated[int, _option(_LOOP, "Seed of draws and sampling.")]
WindowSize = Annotated[
    int | None,
    _option(_LOOP, "Conversations under way; fitted to the KV cache if not given.", min=1),
]

MaxTokens = Annotated[int, _option(_SAMPLING, "Longest completion, in tokens.", min=1)]
Temperature = Annotated[float, _option(_SAMPLING, "0 is greedy.", min=0.0)]
TopP = Annotated[float, _option(_SAMPLING, "Nucleus sampling.", min=0.0, max=1.0)]
KeepTruncated = Annotated[
    bool,
    _option(
        _SAMPLING,
        "Keep what runs into --max-tokens, flagged; `solon train` then learns no end from it.",
        "--keep-truncated",
    ),
]
