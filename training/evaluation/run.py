"""An evaluation in its directory: checked, resumed, gated, and written as results and as a page.

manifest.json  results.json  evaluation.html  completions.sqlite  lm-eval/...
"""

from dataclasses import replace
from pathlib import Path

from engine.runs.manifest import versions
from engine.runs.output import Mode, OutputDirectory, OutputKind
from engine.shares import share_estimate
from engine.storage.atomic import write_page
from training.evaluation.config import EvaluateConfig
from training.evaluation.evidence import Evidence, OnProgress, gather_evidence
from training.evaluation.figures import change_between, model_results, pairings
from training.evaluation.gates import check_gates
from training.evaluation.harness.lm_eval_tasks import check_harness
from training.evaluation.inputs import EvaluationInputs, open_inputs
from training.evaluation.judges.judging import Judges
from training.evaluation.page import evaluation_page
from training.evaluation.questions.questionnaire import HELD_OUT
from training.evaluation.recorded.answers import RecordedModel
from training.evaluation.results import (
    RESULTS,
    ModelResult,
    PrincipleShown,
    Results,
    TrainingCost,
    write_results,
)
from training.evaluation.samples import sampled_answers
from training.evaluation.signs.checkpoint_signs import signs_of
from training.evaluation.signs.provenance import training_cost
from training.evaluation.signs.sanity_before import check_after, check_before
from training.stats.intervals import check_scipy

__all__ = ["EVALUATION", "PAGE", "EvaluationRun"]

PAGE = "evaluation.html"
EVALUATION = OutputKind("evaluate", "evaluation", (RESULTS, PAGE))


class EvaluationRun:
    """One evaluation in `out`. What was generated there is re-used, and further models are added.

    Raises InputError for inputs that cannot work together, and where `out` holds an evaluation of
    something else, unless `overwrite`: further models, gates and sets of questions are not.
    """

    def __init__(self, inputs: EvaluationInputs, out: Path, *, overwrite: bool = False) -> None:
        self.inputs = inputs
        self.out = out
        self.identity = inputs.questionnaire.identity()
        mode: Mode = "overwrite" if overwrite else "resume"
        self.directory = OutputDirectory(out, EVALUATION, self.identity, mode)
        self.directory.look()
        check_scipy()
        if harness := inputs.questionnaire.harness:
            others = [task.name for task in inputs.questionnaire.tasks]
            asked = {n: m for n, m in inputs.models.items() if not isinstance(m, RecordedModel)}
            check_harness(harness, asked, out, others)
        self.findings = check_before(
            inputs.questionnaire, inputs.models, inputs.judges.judge, inputs.training
        )
        """Reasons to doubt the figures that are known before anything is asked."""

    @classmethod
    def from_config(cls, config: EvaluateConfig, *, overwrite: bool = False) -> "EvaluationRun":
        """What `solon evaluate` makes of its options. Raises InputError with everything wrong."""
        return cls(open_inputs(config), Path(config.out), overwrite=overwrite)

    @property
    def page(self) -> Path:
        """Where the page is once the evaluation has ended."""
        return self.out / PAGE

    async def execute(self, on_progress: OnProgress = lambda what, done, total: None) -> Results:
        """Ask, judge, count, check the gates, and write the results and the page.

        Raises InputError when another process writes to the directory, GeneratorUnavailable when
        an engine is gone.
        """
        given = self.inputs
        with self.directory:
            self.directory.write("running")
            evidence = await gather_evidence(
                given.questionnaire, given.models, given.judges, self.out, on_progress
            )
            for name, found in given.harness_results.items():
                evidence.outputs[name].correct |= found.scores
                evidence.outputs[name].metrics |= found.metrics
            results = self._results(evidence)
            results = replace(results, gates=check_gates(given.gates, results))
            write_results(results, self.out)
            write_page(self.page, evaluation_page(results))
            self.directory.write("complete", {"versions": versions()})
        return results

    def _results(self, evidence: Evidence) -> Results:
        given, rules = self.inputs, evidence.questionnaire.constitution
        specs = {name: model.spec for name, model in given.models.items()}
        models = [
            _with_signs(_with_cost(result, evidence, given.against), evidence, given.judges)
            for result in model_results(evidence, specs)
        ]
        return Results(
            constitution=rules.name,
            constitution_hash=rules.content_hash,
            principles=tuple(
                PrincipleShown(p.id, p.statement, p.severity, not p.needs_judge)
                for p in rules.principles
            ),
            prompts=evidence.questionnaire.source,
            prompt_count=len(evidence.questionnaire.prompts),
            judge=given.judges.judge.spec,
            models=tuple(models),
            pairings=tuple(pairings(evidence)),
            findings=(*self.findings, *check_after(evidence, models)),
            samples=tuple(sampled_answers(evidence)),
            imported=given.imported,
            curves=given.curves,
            against=given.against or "",
        )


def _with_cost(result: ModelResult, evidence: Evidence, against: str | None) -> ModelResult:
    """With what its training took, and compared with another model than the base."""
    cost = training_cost(result.spec)
    told = None
    if cost is not None:
        told = TrainingCost(cost["gpu_hours"], int(cost["tokens"]), int(cost["steps"]))
    change = None
    if against and result.name not in (against, evidence.base):
        change = change_between(evidence, result.name, against)
    return replace(result, cost=told, change_against=change)


def _with_signs(result: ModelResult, evidence: Evidence, judges: Judges) -> ModelResult:
    """With the signs of reward hacking, and with what the classifiers find in its answers."""
    answers = [a for a in evidence.outputs[result.name].answers[HELD_OUT].values() if a.text]
    prompts = [answer.prompt.messages[-1].content for answer in answers]
    texts = [answer.text for answer in answers]
    harm = {
        judge.name: share_estimate(list(judge.probabilities(prompts, texts)))
        for judge in judges.classifiers
    }
    return replace(
        result,
        signs=signs_of(evidence, result.name),
        classifiers={name: found for name, found in harm.items() if found is not None},
    )
