"""A run's numbers and its page: counted right, escaped, self-contained, the same every time."""

import base64
import hashlib
import json
import re
import resource
from html.parser import HTMLParser

import jsonlines
import pytest
from hypothesis import given
from hypothesis import strategies as st

from constitution.problems import InputError
from constitution.word_diff import word_diff
from engine.record_files import read_failures, read_records
from engine.records import DropReason, Failure, Flag, Outcome, Record
from engine.report import FailureKind, build_report, summarize
from engine.report.sample import ConversationSample
from engine.report.wording import DROPPED_BECAUSE, FLAGGED_BECAUSE, OUTCOMES, percent, visible
from engine.storage.atomic import StorageFull
from tests.engine.run_fixture import NASTY, PRINCIPLES, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", 120)


@pytest.fixture(scope="module")
def page(run):
    return build_report(run, sample=120).read_text(encoding="utf-8")


class Seen(HTMLParser):
    """What a browser would make of a page, near enough."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


# Numbers ------------------------------------------------------------------------------------------


def test_the_summary_counts_what_is_there(run):
    records, summary = list(read_records(run)), summarize(run)
    assert summary.records == len(records) == 120
    for outcome in Outcome:
        assert summary.outcomes[outcome] == sum(r.outcome is outcome for r in records)
    assert sum(summary.drop_reasons.values()) == summary.outcomes[Outcome.DROPPED]
    assert summary.escalated == sum(r.escalate for r in records)
    assert summary.unresolved == sum(bool(r.unresolved) for r in records)
    assert summary.failed == len(list(read_failures(run)))
    assert summary.prompts == summary.records + summary.failed
    assert summary.flags[Flag.TRUNCATED_ANSWER] == 14
    assert summary.spent.cached_share == pytest.approx(1300 / 5400)


def test_each_principle_adds_up(run):
    records, summary = list(read_records(run)), summarize(run)
    assert [p.id for p in summary.principles] == list(PRINCIPLES)
    for p in summary.principles:
        firsts = [v for r in records for v in r.first_verdicts if v.principle == p.id]
        assert p.screened == len(firsts) >= p.broken_at_first == sum(v.violates for v in firsts)
        assert p.criticised == sum(x.principle == p.id for r in records for x in r.rounds)
        assert p.criticised == p.revised + p.dropped
        assert p.checked >= p.violated + p.undecided
        assert p.text.statement == PRINCIPLES[p.id][0]
    assert summary.principles[-1].revision_yield is None
    assert summary.principles[-1].mean_probability is None


def test_the_mean_probability_leaves_out_what_the_judge_could_not_say(run):
    verdicts = [v for r in read_records(run) for v in r.final_verdicts]
    for p in summarize(run).principles[:-1]:
        said = [v.probability for v in verdicts if v.principle == p.id and v.violates is not None]
        assert p.mean_probability == pytest.approx(sum(said) / len(said))


def test_every_record_is_handed_on(run):
    seen = []
    summarize(run, seen.append)
    assert seen == list(read_records(run))


def test_a_failure_answered_later_is_not_one(tmp_path):
    run = write_run(tmp_path, 10)
    late = Failure(id="p00003", row=3, stage="judge", reason="timeout", message="", retryable=True)
    with jsonlines.open(run / "failures.jsonl", "a") as lines:
        lines.write(late.model_dump(mode="json"))
    assert summarize(run).failure_kinds == {FailureKind("policy", "context_overflow"): 1}


def test_an_interrupted_run_with_a_torn_line_is_counted(tmp_path):
    run = write_run(tmp_path, 10, complete=False)
    with (run / "records.jsonl").open("ab") as stream:
        stream.write('{"id": "p9", "answer": "é'.encode()[:-1])
    summary = summarize(run)
    assert summary.records == 10 and not summary.complete
    assert "Interrupted" in build_report(run).read_text(encoding="utf-8")


@pytest.mark.parametrize("line", ["{torn", '{"id": "x"}', "[1]"])
def test_a_damaged_line_in_the_middle_is_named(tmp_path, line):
    run = write_run(tmp_path, 4)
    lines = (run / "records.jsonl").read_text(encoding="utf-8").splitlines()
    text = "\n".join([lines[0], line, *lines[1:]])
    (run / "records.jsonl").write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"records\.jsonl:2: is not (a|one)"):
        summarize(run)


def test_blank_lines_are_passed_over_as_a_run_does(tmp_path):
    run = write_run(tmp_path, 4)
    with (run / "records.jsonl").open("a", encoding="utf-8") as stream:
        stream.write("\n\n")
    assert summarize(run).records == 4
    with (run / "records.jsonl").open("a", encoding="utf-8") as stream:
        stream.write('{"id": "x"}\n')
    with pytest.raises(InputError, match=r"records\.jsonl:7: is not a record"):
        summarize(run)


@pytest.mark.parametrize("text", ["principles: 5\n", "principles: {a: b}\n", "- 1\n", "{", "\xff"])
def test_a_damaged_copy_of_the_constitution_costs_only_its_words(tmp_path, text):
    run = write_run(tmp_path, 4)
    (run / "constitution.yaml").write_bytes(text.encode("latin-1"))
    assert build_report(run).is_file()


def test_a_page_that_does_not_fit_on_the_disk_leaves_the_old_one(tmp_path):
    run = write_run(tmp_path, 4)
    page = build_report(run)
    before = page.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageFull, match=r"report\.html: no space left"):
            build_report(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert page.read_bytes() == before
    assert not list(run.glob("*.part"))


def test_a_manifest_that_says_nothing_is_enough(tmp_path):
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    summary = summarize(tmp_path)
    assert summary.records == summary.failed == 0 and summary.principles == ()
    assert build_report(tmp_path).is_file()


@pytest.mark.parametrize("manifest", [None, "{", "[]"])
def test_a_directory_that_is_no_run_is_refused(tmp_path, manifest):
    if manifest:
        (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(InputError, match="is not"):
        build_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


# Sample -------------------------------------------------------------------------------------------


def sampled(records, size=20, seed=0) -> list[Record]:
    sample = ConversationSample(size, seed)
    for record in records:
        sample.add(record)
    return sample.records()


def test_the_sample_does_not_depend_on_the_order_of_the_records(run):
    records = list(read_records(run))
    assert sampled(records) == sampled(records[::-1]) == sampled(records[50:] + records[:50])
    assert sampled(records) != sampled(records, seed=1)


def test_the_sample_keeps_room_for_trouble(run):
    records = list(read_records(run))
    calm = [r for r in records if not r.unresolved and r.outcome is not Outcome.DROPPED]
    trouble = [
        next(r for r in records if r.escalate),
        next(r for r in records if r.unresolved and not r.escalate),
        next(r for r in records if r.outcome is Outcome.DROPPED),
    ]
    for seed in range(5):
        chosen = sampled(calm + trouble, size=6, seed=seed)
        assert len(chosen) == 6 and all(r in chosen for r in trouble)


@pytest.mark.parametrize("size", [0, 1, 7, 120, 500])
def test_the_sample_is_as_large_as_asked_or_as_there_are(run, size):
    assert len(sampled(read_records(run), size=size)) == min(size, 120)


# Differences --------------------------------------------------------------------------------------


@given(st.text(max_size=60), st.text(max_size=60))
def test_a_difference_gives_both_texts_back(before, after):
    changes = word_diff(before, after)
    assert "".join(change.before for change in changes) == before
    assert "".join(change.after for change in changes) == after


def test_only_the_words_that_changed_are_marked():
    changes = word_diff("Keep this old word here.", "Keep this new word here.")
    assert [(c.before, c.after) for c in changes if not c.same] == [("old", "new")]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("the a " * 20_000, "a the b " * 15_000),
        ("x" * 1_000_000, "y" * 1_000_000),
        ("One sentence. " * 30_000, "Another sentence. " * 30_000),
        (" ".join(map(str, range(4_000))), " ".join(map(str, range(4_000, 0, -1)))),
    ],
)
def test_long_texts_are_compared_at_a_bounded_cost(before, after):
    changes = word_diff(before, after)
    assert "".join(change.after for change in changes) == after


# Page ---------------------------------------------------------------------------------------------


def test_the_page_allows_only_its_own_style_and_script(page):
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src &#39;none&#39;;") or policy.startswith(
        "default-src 'none';"
    )
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy


def test_nothing_planted_becomes_markup(page):
    seen = Seen(page)
    assert seen.tags.count("script") == seen.tags.count("style") == 1
    assert not {"img", "b-odd", "iframe", "link", "object"} & set(seen.tags)
    names = {name for name, _ in seen.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "x")]
    for text in NASTY:
        assert visible(text) in seen.text


def test_addresses_stay_on_the_page(page):
    addresses = [value for name, value in Seen(page).attributes if name in ("href", "src")]
    assert addresses and all(address.startswith("#") for address in addresses)


@given(st.text())
def test_visible_text_hides_and_reorders_nothing(text):
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", visible(text)
    )
    assert visible(visible(text)) == visible(text)


def test_hidden_characters_are_spelled_out(page):
    assert visible("a\u202eb\x00c") == "a⟨U+202E⟩b⟨U+0000⟩c"
    assert visible("👩\u200d🚀 café\n\ttab") == "👩\u200d🚀 café\n\ttab"
    assert "⟨U+202E⟩gnisrever" in page and "\u202e" not in page


def test_the_page_says_what_to_think_of_its_judge(page, tmp_path):
    assert "proves the plumbing, not alignment" in page
    run = write_run(tmp_path, 3)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    for judge, unproven in (("vllm:large", False), ("embedded?backend=transformers", True)):
        manifest["models"]["judge"] = judge
        (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        other = build_report(run).read_text(encoding="utf-8")
        assert "only as good as the judge" in other
        assert ("plumbing" in other) is unproven


def test_where_checks_decide_everything_the_page_speaks_of_no_judge(tmp_path):
    run = write_run(tmp_path, 3)
    kept = "name: test\nprinciples:\n  - {id: brief, statement: S., check: {max_words: 9}%s}\n"
    for judged, quiet in (("", True), (", judged: true", False)):
        (run / "constitution.yaml").write_text(kept % judged, encoding="utf-8")
        page = build_report(run).read_text(encoding="utf-8")
        assert ("no judge was asked" in page) is quiet
        assert ("only as good as the judge" in page) is not quiet


def test_the_same_run_gives_the_same_page(run, page):
    assert build_report(run, sample=120).read_text(encoding="utf-8") == page
    assert not list(run.glob("*.part"))


def test_everything_a_record_can_say_has_plain_words():
    assert set(DROPPED_BECAUSE) == set(DropReason)
    assert set(FLAGGED_BECAUSE) == set(Flag)
    assert set(OUTCOMES) == set(Outcome)


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (None, "–"),
        (0, "0%"),
        (1, "100%"),
        (0.5, "50%"),
        (0.004, "0.4%"),
        (0.9996, ">99.9%"),
        (1e-6, "<0.1%"),
    ],
)
def test_a_share_is_whole_only_when_it_is(share, told):
    assert percent(share) == told
