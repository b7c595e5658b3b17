// One answer must have all that was chosen, and of a principle and an outcome the same verdict.
const ofAnswer = ["refused", "truncated"];

const has = (element, outcome) => element.dataset.outcome.split(" ").includes(outcome);

const fits = (answer, { checkpoint, principle, outcome }) => {
  if (checkpoint && answer.dataset.checkpoint !== checkpoint) return false;
  if (!principle) return !outcome || has(answer, outcome);
  if (["won", "lost"].includes(outcome)) return answer.dataset.under === principle && has(answer, outcome);
  const verdicts = [...answer.querySelectorAll("[data-principle]")]
    .filter((verdict) => verdict.dataset.principle === principle);
  if (ofAnswer.includes(outcome)) return verdicts.length > 0 && has(answer, outcome);
  return verdicts.some((verdict) => !outcome || has(verdict, outcome));
};

browse((sample, { set, ...chosen }) => {
  if (set && sample.dataset.set !== set) return false;
  const nothing = Object.keys(chosen).length === 0;
  return nothing || [...sample.querySelectorAll(".answer")].some((one) => fits(one, chosen));
});
