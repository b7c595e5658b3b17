"""What other tools judge replies by: rubrics of promptfoo, policies of NeMo Guardrails, judges of oumi.

promptfoo (promptfooconfig.yaml, or a file of tests):
    {"defaultTest": {"assert": [{"type": "llm-rubric", "value": ..., "metric", "weight"}]},
     "tests": [{"vars": {...}, "assert": [...]}], "assertionTemplates": {name: {...}}}
nemo-guardrails (config.yml, prompts.yml): the lists in what the checks of input and output are asked
    {"prompts": [{"task": "self_check_output", "content": "... policy for the bot:\\n- ..."}]}
oumi: criteria of a rubric, or the lists in a judge's instruction
    {"judge_params": {"system_instruction", "prompt_template", ...},
     "rubric_judge_params": {"criteria": [{"id", "description", "weight"}]}}
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from constitution.interchange.draft import WITHOUT_IDS, ConstitutionDraft, Format, Shape, has_rows
from constitution.interchange.markdown import Item, listed_items
from constitution.schema import Constitution

__all__ = ["SHAPES"]

_RUBRICS = ("llm-rubric", "model-graded-closedqa", "g-eval", "conversational-g-eval")
_PARTS = ("defaultTest", "tests", "scenarios", "assertionTemplates")
_INPUT_RULE = "The assistant does not go along with a message that breaks this rule: "
_NOT_ONE = "The assistant's reply is not one of which this is true: "
_SAYS_YES = "A judge who is asked this about the assistant's reply says yes: "
_MESSAGES = re.compile(
    r"\A(?:(?:the )?(?:bot|bot's|assistant's)? ?(?:messages?|responses?|replies|reply|output)) ",
    re.I,
)
_BARE = re.compile(r"\A(?:should|must|may|can|do|does|will)\b", re.IGNORECASE)
_BLOCKS = re.compile(
    r"\b(?:block|reject|flag|refuse|unsafe|violat\w{1,9})\b[^\n]{0,80}\bif\b|\b(?:should|must|do) not\b[^\n]{0,40}:?\Z",
    re.I,
)
_ALLOWS = re.compile(r"\A(?:can|may|allowed|permitted)\b[^\n]{0,40}\Z", re.IGNORECASE)
_CHECKS = re.compile(
    r"self_check_(?:input|output)|(?:content_safety|llama_guard|safety)\w{0,40}_(?:input|output)"
)


def _is_promptfoo(data: Any) -> bool:
    if isinstance(data, list):
        return has_rows(data, "assert")
    return isinstance(data, dict) and any(
        True for part in _PARTS if part in data for _ in _assertions(data[part])
    )


def _assertions(node: Any, variables: Any = None) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Every assertion below `node`, with the variables of its test."""
    if isinstance(node, list):
        for one in node:
            yield from _assertions(one, variables)
    elif isinstance(node, dict):
        if isinstance(node.get("type"), str) and node["type"] != "assert-set":
            yield node, variables
            return
        for key, inner in node.items():
            if key not in ("vars", "options", "provider", "metadata"):
                yield from _assertions(inner, node.get("vars", variables))


def _read_promptfoo(data: Any, draft: ConstitutionDraft) -> None:
    """A rubric that several tests share is one principle, whose tests' variables are its prompts."""
    ids: dict[tuple[str, str], str] = {}
    left: dict[str, int] = {}
    parts = [data[part] for part in _PARTS if part in data] if isinstance(data, dict) else data
    for assertion, variables in _assertions(parts):
        kind = str(assertion["type"])
        if not _is_read(kind, assertion.get("value")):
            left[kind] = left.get(kind, 0) + 1
            continue
        values = assertion["value"]
        for value in values if isinstance(values, list) else [values]:
            id = ids.get((kind, str(value))) or _add_rubric(kind, value, assertion, draft)
            ids[kind, str(value)] = id
            _add_prompts(variables, id, draft)
    for kind, count in left.items():
        draft.notes.append(f"left out: {count:,} assertions of the type {kind!r}")
    if draft.prompts:
        draft.notes.append(
            f"{len(draft.prompts):,} tests have one variable, which is taken for the prompt: write "
            "them beside the constitution with --prompts FILE"
        )


def _is_read(kind: str, value: Any) -> bool:
    """A rubric in words; not one in another file."""
    known = kind.removeprefix("not-") in _RUBRICS or kind == "select-best"
    texts = value if isinstance(value, list) else [value]
    return known and all(isinstance(t, str) and not t.startswith("file://") for t in texts)


def _add_rubric(
    kind: str, value: Any, assertion: Mapping[str, Any], draft: ConstitutionDraft
) -> str:
    text = " ".join(draft.text(value, f"a value of {kind}").split())
    if kind == "select-best":
        return draft.chosen_by(text)
    if kind.startswith("not-"):
        text, draft.derived = _NOT_ONE + text, draft.derived + 1
    weight = _weight(assertion.get("weight"))
    return draft.stated(text, str(assertion.get("metric") or ""), weight=weight)


def _weight(value: Any) -> float:
    try:
        return max(0.0, float(value)) if value is not None else 1.0
    except ValueError:
        return 1.0


def _add_prompts(variables: Any, id: str, draft: ConstitutionDraft) -> None:
    texts = (
        [v for v in variables.values() if isinstance(v, str)] if isinstance(variables, dict) else []
    )
    if len(texts) == 1 and not texts[0].startswith("file://") and id:
        draft.prompts.append({"prompt": texts[0].strip(), "tags": [id]})


def _promptfoo(constitution: Constitution) -> Any:
    rubrics = [
        {"type": "llm-rubric", "value": p.statement, "metric": p.id, "weight": p.weight}
        for p in constitution.principles
    ]
    return {
        "description": constitution.description or constitution.name,
        "defaultTest": {"assert": rubrics},
    }


# NeMo Guardrails ----------------------------------------------------------------------------------


def _prompts(data: Any) -> Any:
    return data.get("prompts") if isinstance(data, dict) else data


def _is_guardrails(data: Any) -> bool:
    rows = _prompts(data)
    return isinstance(rows, list) and any(
        isinstance(row, dict) and "task" in row and ("content" in row or "messages" in row)
        for row in rows
    )


def _read_guardrails(data: Any, draft: ConstitutionDraft) -> None:
    for index, value in enumerate(draft.items(_prompts(data), "prompts")):
        row = draft.mapping(value, f"prompts[{index}]")
        task = str(row.get("task") or f"prompts[{index}]")
        items = listed_items(_asked(row)) if _CHECKS.search(task) else []
        kept = [item for item in items if not _ALLOWS.search(item.lead.rstrip(":"))]
        for item in kept:
            draft.stated(_policy(item, draft, of_input="_input" in task), item.label)
        if not kept:
            draft.notes.append(f"left out: the prompt of {task}, which lists no policy")
        for item in items:
            if item not in kept:
                draft.notes.append(f"left out: what {task} allows, {item.text!r}")
    if isinstance(data, dict):
        draft.left_out(data, ("prompts", "models", "rails"))


def _asked(row: Mapping[str, Any]) -> str:
    if isinstance(row.get("content"), str):
        return str(row["content"])
    messages = row.get("messages")
    turns = messages if isinstance(messages, list) else []
    return "\n\n".join(
        str(t.get("content") or "") if isinstance(t, dict) else str(t) for t in turns
    )


def _policy(item: Item, draft: ConstitutionDraft, *, of_input: bool) -> str:
    """A rule about messages as a statement about the assistant."""
    said = " ".join(item.text.split())
    text = said[:1].lower() + said[1:]
    if of_input:
        draft.derived += 1
        return _INPUT_RULE + text
    if _BLOCKS.search(item.lead):
        draft.derived += 1
        return _NOT_ONE + text
    if found := _MESSAGES.match(said):
        return "The assistant's messages " + said[found.end() :]
    return f"The assistant's messages {text}" if _BARE.match(text) else said


def _guardrails(constitution: Constitution) -> Any:
    policy = "\n".join(f"- {' '.join(p.statement.split())}" for p in constitution.principles)
    content = (
        "Your task is to check if the bot message below complies with the policy.\n\n"
        f"Policy for the bot:\n{policy}\n\n"
        'Bot message: "{{ bot_response }}"\n\nQuestion: Should the message be blocked (Yes or No)?\nAnswer:'
    )
    return {"prompts": [{"task": "self_check_output", "content": content}]}


# oumi ---------------------------------------------------------------------------------------------


def _is_oumi(data: Any) -> bool:
    keys = data.keys() if isinstance(data, dict) else ()
    return (
        "judge_params" in keys
        or "rubric_judge_params" in keys
        or {"system_prompt", "value_type"} <= {*keys}
    )


def _read_oumi(data: Any, draft: ConstitutionDraft) -> None:
    whole = draft.mapping(data, "the file")
    rubric = whole.get("rubric_judge_params")
    if isinstance(rubric, dict) and rubric.get("criteria"):
        _read_criteria(rubric["criteria"], draft)
        return
    params = whole.get("judge_params", whole)
    judge = draft.mapping(params, "judge_params")
    keys = ("system_instruction", "system_prompt", "prompt_template")
    said = [text for key in keys if isinstance(text := judge.get(key), str)]
    items = [item for text in said for item in listed_items(text)]
    for item in items:
        draft.stated(" ".join(item.text.split()), item.label)
    if not items and said:
        draft.derived += 1
        draft.stated(
            _SAYS_YES + " ".join(said[0].split()), str(judge.get("name") or Path(draft.file).stem)
        )
    elif said:
        draft.notes.append("left out: what the judge is told around its criteria")
    if not said:
        draft.wrong("judge_params", "has neither system_instruction nor prompt_template")


def _read_criteria(value: Any, draft: ConstitutionDraft) -> None:
    for index, one in enumerate(draft.items(value, "criteria")):
        where = f"criteria[{index}]"
        row = draft.mapping(one, where)
        text = " ".join(draft.text(row.get("description"), f"{where}.description").split())
        id = draft.stated(text, str(row.get("id") or ""), weight=_weight(row.get("weight")))
        if row.get("judgment_type") not in (None, "BOOL"):
            draft.notes.append(
                f"{id} was judged on a scale ({row['judgment_type']}); here it is kept or broken"
            )


def _oumi(constitution: Constitution) -> Any:
    template = "[user request]:\n{request}\n\n[response]:\n{response}"
    criteria = [
        {"id": p.id, "description": p.statement, "judgment_type": "BOOL", "weight": p.weight}
        for p in constitution.principles
    ]
    return {
        "judge_params": {"prompt_template": template, "response_format": "JSON"},
        "rubric_judge_params": {"aggregation": "WEIGHTED_MEAN", "criteria": criteria},
    }


SHAPES = {
    Format.PROMPTFOO: Shape(
        _is_promptfoo, _read_promptfoo, _promptfoo, ("statement", "weight", "description")
    ),
    Format.NEMO_GUARDRAILS: Shape(
        _is_guardrails, _read_guardrails, _guardrails, ("statement",), WITHOUT_IDS
    ),
    Format.OUMI: Shape(_is_oumi, _read_oumi, _oumi, ("statement", "weight")),
}
