"""People's preferences beside the judge's, and prompts that are left out."""

import json
from collections import Counter

from training.data.people import beside_peoples, without_prompts


def row(prompt, chosen="yes"):
    return {"prompt": [{"role": "user", "content": prompt}], "chosen": chosen}


def test_people_decide_about_their_prompts_and_count_by_their_weight():
    skipped = Counter()
    peoples, judges = [row("a", "people's")], [row("a"), row("b"), row("a")]
    found = list(beside_peoples(peoples, 3, judges, skipped))
    assert found == [row("a", "people's")] * 3 + [row("b")]
    assert skipped == {"people preferred otherwise or the same": 2}


def test_prompts_of_a_file_are_left_out(tmp_path):
    (tmp_path / "held.jsonl").write_text(json.dumps({"prompt": "a"}) + "\n", encoding="utf-8")
    skipped = Counter()
    rows = [row("a"), row("b"), row("c")]
    assert list(without_prompts(rows, tmp_path / "held.jsonl", skipped)) == rows[1:]
    assert skipped == {"held out": 1}
    assert list(without_prompts(rows, None, skipped)) == rows and skipped["held out"] == 1
