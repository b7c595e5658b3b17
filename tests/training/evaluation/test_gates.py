"""Gates: what a file may say, which figure each metric reads, and when a bound is kept."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constitution.problems import InputError
from engine.shares import Estimate
from training.evaluation.gates import METRICS, Bound, check_gates, read_gates
from training.evaluation.results import (
    AnswerCounts,
    AttackSuccess,
    Finding,
    ModelResult,
    Pairing,
    RefusalRate,
    Results,
)
from training.evaluation.signs.reward_hacking import Sign
from training.stats.bradley_terry import WinRate

COUNTS = AnswerCounts(40, 0, 0, 0, 50.0)
MEASURED = {
    "violations": 0.11,
    "weighted_violations": 0.12,
    "principles.no-harm": 0.13,
    "stakeholders.legal": 0.14,
    "refusal_harmful": 0.15,
    "over_refusal": 0.16,
    "tax": 0.17,
    "capability.gsm8k": 0.18,
    "attack_success.prefill": 0.19,
    "win_rate": 0.7,
}


def figure(metric: str) -> Estimate:
    return Estimate(MEASURED[metric], MEASURED[metric] - 0.05, MEASURED[metric] + 0.05, 40)


DPO = ModelResult(
    "dpo",
    "scripted:dpo",
    COUNTS,
    violations=figure("violations"),
    weighted_violations=figure("weighted_violations"),
    principles={"no-harm": figure("principles.no-harm")},
    stakeholders={"legal": figure("stakeholders.legal")},
    harmful=RefusalRate(figure("refusal_harmful")),
    benign=RefusalRate(figure("over_refusal")),
    tax=figure("tax"),
    capabilities={"gsm8k": figure("capability.gsm8k")},
    attacks={"prefill": AttackSuccess(figure("attack_success.prefill"))},
    signs=(Sign("length_drift", figure("tax"), True, "long"), Sign("distinct_n", figure("tax"))),
)
BASE = ModelResult("base", "scripted:base", COUNTS)
RESULTS = Results(
    constitution="c", constitution_hash="h", principles=(), prompts="p", prompt_count=40,
    judge="j", models=(BASE, DPO),
    pairings=(Pairing("base", "dpo", WinRate(Estimate(0.3, 0.2, 0.45, 40), 12, 0, 28)),),
    findings=(Finding("a", "error", "wrong"), Finding("b", "warning", "doubtful")),
)  # fmt: skip


def read(folder: Path, text: str, models: tuple[str, ...] = ("base=embedded", "dpo=embedded")):
    path = folder / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    return read_gates(path, models)


@pytest.mark.parametrize("metric", MEASURED)
def test_each_metric_reads_its_figure_and_its_interval(metric: str):
    value = MEASURED[metric]
    for limit, kept in ((value + 0.01, True), (value, True), (value - 0.01, False)):
        (gate,) = check_gates([Bound(metric, limit)], RESULTS)
        assert gate.model == "dpo" and gate.kept is kept
        assert gate.measured == pytest.approx(value)
    for limit, kept in ((value + 0.01, False), (value, True), (value - 0.01, True)):
        (gate,) = check_gates([Bound(metric, limit, at_most=False)], RESULTS)
        assert gate.kept is kept
    (gate,) = check_gates([Bound(metric, value + 0.01, end="upper")], RESULTS)
    assert not gate.kept and gate.measured is not None and gate.measured > value
    (gate,) = check_gates([Bound(metric, value - 0.01, at_most=False, end="lower")], RESULTS)
    assert not gate.kept and gate.measured is not None and gate.measured < value


@pytest.mark.parametrize("metric", [*MEASURED, "signs"])
def test_what_was_not_measured_is_not_kept(metric: str):
    for bound in (Bound(metric, 1.0, models=("base",)), Bound(metric, 1.0, models=("sft",))):
        (gate,) = check_gates([bound], RESULTS)
        assert gate.measured is None and not gate.kept


def test_signs_count_per_model_and_findings_once():
    gates = check_gates([Bound("signs", 1), Bound("signs", 0), Bound("findings", 0)], RESULTS)
    assert [(gate.model, gate.measured, gate.kept) for gate in gates] == [
        ("dpo", 1, True),
        ("dpo", 1, False),
        ("every model", 1, False),
    ]


def test_every_model_but_the_first_is_held_to_a_bound_or_the_first_alone():
    bound = [Bound("violations", 0.5)]
    assert [gate.model for gate in check_gates(bound, RESULTS)] == ["dpo"]
    alone = Results(
        constitution="c", constitution_hash="h", principles=(), prompts="p", prompt_count=40,
        judge="j", models=(DPO,),
    )  # fmt: skip
    assert [gate.model for gate in check_gates(bound, alone)] == ["dpo"]
    assert check_gates((), RESULTS) == ()


@given(value=st.floats(0, 1), limit=st.floats(0, 1))
@settings(max_examples=50)
def test_at_most_and_at_least_both_hold_only_at_the_limit(value: float, limit: float):
    model = ModelResult("m", "s", COUNTS, violations=Estimate(value, 0, 1, 40))
    results = Results(
        constitution="c", constitution_hash="h", principles=(), prompts="p", prompt_count=40,
        judge="j", models=(model,),
    )  # fmt: skip
    most, least = check_gates(
        [Bound("violations", limit), Bound("violations", limit, at_most=False)], results
    )
    assert most.kept or least.kept
    assert (most.kept and least.kept) == (abs(value - limit) <= 1e-9)


def test_a_file_is_read_with_its_models(tmp_path: Path):
    text = """
gates:
  violations: {at_most: 0.2}
  principles.no-harm: {at_most: 0.1, bound: upper}
  win_rate: {at_least: 0.5, bound: lower}
  signs: {at_most: 0}
models: [dpo]
"""
    found = read(tmp_path, text)
    assert found == (
        Bound("violations", 0.2, models=("dpo",)),
        Bound("principles.no-harm", 0.1, end="upper", models=("dpo",)),
        Bound("win_rate", 0.5, at_most=False, end="lower", models=("dpo",)),
        Bound("signs", 0, models=("dpo",)),
    )
    assert str(found[0]) == "at most 0.2"
    assert str(found[2]) == "at least 0.5 (lower end of the interval)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gates: {violation: {at_most: 1}}", "1:9: unknown metric 'violation'; did you mean 'viol"),
        ("gates: {capabilty.x: {at_most: 1}}", "did you mean 'capability.x'?"),
        ("gates: {capability: {at_most: 1}}", "unknown metric 'capability'"),
        ("gates: {speed: {at_most: 1}}", "it may be violations, "),
        ("gates: {tax: {at_mots: 1}}", "did you mean 'at_most'?"),
        ("gates: {tax: 0.2}", "tax is 0.2; write {at_most: ...} or {at_least: ...}"),
        ("gates: {tax: {}}", "tax has no limit"),
        ("gates: {tax: {at_most: 1, at_least: 0}}", "tax has two limits"),
        ("gates: {violations: {at_most: 20}}", "it is a share, from 0 to 1"),
        ("gates: {violations: {at_most: 20%}}", "20%"),
        ("gates: {violations: {at_most: .nan}}", "finite"),
        ("gates: {tax: {at_most: 2}}", "from -1 to 1"),
        ("gates: {signs: {at_most: -1}}", "a count from 0 on"),
        ("gates: {signs: {at_most: 1, bound: upper}}", "has no interval"),
        ("gates: {tax: {at_most: 0.1, bound: lower}}", "bound: lower does not go with at_most"),
        ("gates: {tax: {at_most: 0.1, bound: uper}}", "upper"),
        ("gates: {}", "gates is"),
        ("gate: {tax: {at_most: 1}}", "did you mean 'gates'?"),
        ("gates: {tax: {at_most: 1}}\nmodels: [dpi]", "2:10: there is no model 'dpi'; did you mea"),
        ("gates: {tax: {at_most: 1}}\nmodels: []", "models is"),
        ("- tax", "is not a mapping"),
    ],
)
def test_what_is_wrong_is_told_with_a_way_out(text: str, told: str, tmp_path: Path):
    with pytest.raises(InputError) as error:
        read(tmp_path, text)
    assert len(error.value.problems) == 1
    assert told in str(error.value) and "\n" not in str(error.value)


def test_all_problems_are_told_at_once(tmp_path: Path):
    with pytest.raises(InputError) as error:
        read(tmp_path, "gates: {speed: {}, tax: 1}\nmodels: [x, y]")
    assert len(error.value.problems) == 4


def test_each_metric_without_a_name_can_be_written(tmp_path: Path):
    lines = "".join(f"  {metric}: {{at_most: 1}}\n" for metric in METRICS)
    assert [bound.metric for bound in read(tmp_path, f"gates:\n{lines}")] == list(METRICS)
