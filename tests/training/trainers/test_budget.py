"""Budgets: what a training may cost is measured, counted over trainings, and never exceeded."""

import json
from types import SimpleNamespace

import pytest

from constitution.problems import InputError
from training.trainers import budget as budgets
from training.trainers.budget import Budget, Cost, Meter, cost_in


class Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


class OnRows:
    """Counts steps and tokens as TRL's trainers on rows do."""

    def __init__(self, planned=100, processes=1):
        self.args = SimpleNamespace(world_size=processes, max_steps=planned)
        self.state = SimpleNamespace(global_step=0, num_input_tokens_seen=0)
        self._total_train_tokens = 0

    def step(self, tokens):
        self.state.global_step += 1
        self._total_train_tokens += tokens


class Sampling(OnRows):
    """As those that sample their answers: for `at_once` steps in the first of them, counted elsewhere."""

    num_generations = 4
    at_once = 1

    def step(self, tokens):
        if self.state.global_step % self.at_once == 0:
            self.state.num_input_tokens_seen += tokens * self.at_once
        self.state.global_step += 1


class SamplingForFour(Sampling):
    at_once = 4


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(budgets, "time", clock)
    return clock


def trained(budget, clock, *, kind=OnRows, seconds=36.0, tokens=100, planned=100, processes=1):
    """Steps of that cost, until the meter ends it."""
    trainer, meter = kind(planned, processes), Meter(budget)
    meter.begin(trainer, None)
    while trainer.state.global_step < trainer.args.max_steps:
        trainer.step(tokens)
        clock.now += seconds
        if meter.exhausted():
            break
    return trainer, meter


def manifest(path, **cost):
    path.mkdir()
    written = {"metrics": {"cost": cost}}
    (path / "manifest.json").write_text(json.dumps(written), encoding="utf-8")
    return str(path)


def test_without_a_budget_all_steps_are_done(clock):
    trainer, meter = trained(Budget(), clock)
    assert trainer.state.global_step == 100
    assert meter.report()["stopped_by"] is None
    assert meter.cost == Cost(pytest.approx(1.0), 10_000, 100)


@pytest.mark.parametrize("kind", [OnRows, Sampling])
def test_tokens_are_never_exceeded(clock, kind):
    trainer, meter = trained(Budget(tokens=1050), clock, kind=kind)
    assert (trainer.state.global_step, meter.cost.tokens) == (10, 1000)


def test_tokens_are_never_exceeded_where_answers_are_sampled_for_several_steps(clock):
    trainer, meter = trained(Budget(tokens=1050), clock, kind=SamplingForFour)
    assert meter.cost.tokens == 800
    assert trainer.state.global_step <= 8


def test_hours_count_for_every_process(clock):
    trainer, meter = trained(Budget(gpu_hours=0.2), clock)
    assert trainer.state.global_step == 20
    assert meter.exhausted() == "gpu_hours"
    _, meter = trained(Budget(), clock, processes=4)
    assert meter.cost.gpu_hours == pytest.approx(4.0)


def test_steps_are_known_before_so_that_the_schedule_fits(clock):
    trainer, meter = trained(Budget(steps=7), clock)
    assert trainer.args.max_steps == trainer.state.global_step == 7
    assert meter.report()["stopped_by"] == "steps"


def test_the_first_limit_that_is_reached_ends_it(clock):
    trainer, meter = trained(Budget(tokens=5_000, gpu_hours=0.05, steps=80), clock)
    assert (trainer.state.global_step, meter.exhausted()) == (5, "gpu_hours")


def test_trainings_before_draw_on_the_same_budget(tmp_path, clock):
    before = manifest(tmp_path / "rm", gpu_hours=0.1, tokens=600, steps=5)
    trainer, meter = trained(Budget(tokens=1000, after=[before]), clock)
    assert trainer.state.global_step == 4
    assert meter.report()["before"] == {"gpu_hours": 0.1, "tokens": 600, "steps": 5}


def test_a_budget_that_is_spent_is_refused(tmp_path):
    before = manifest(tmp_path / "rm", gpu_hours=0.1, tokens=600, steps=5)
    with pytest.raises(InputError, match="500 tokens are spent by"):
        Meter(Budget(tokens=500, after=[before]))


def test_what_was_spent_before_an_interruption_counts(tmp_path, clock):
    (tmp_path / "cost.json").write_text(
        json.dumps({"gpu_hours": 0.5, "tokens": 900, "steps": 9}), encoding="utf-8"
    )
    trainer, meter = OnRows(), Meter(Budget(tokens=1000))
    trainer.state.global_step, trainer._total_train_tokens = 9, 900
    meter.begin(trainer, tmp_path)
    meter._tokens_before, meter._steps_before = 900, 9  # as at the beginning of the loop
    assert meter.cost == Cost(0.5, 900, 9)
    trainer.state.global_step, trainer._total_train_tokens = 10, 1000
    assert meter.cost.tokens == 1000
    assert meter.exhausted() == "tokens"


def test_a_manifest_without_costs_has_none():
    assert cost_in({}) == Cost()
