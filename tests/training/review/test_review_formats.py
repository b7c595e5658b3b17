"""What is exported for review is what Label Studio and Argilla read, by their own packages.

They do not fit beside the project's pinned versions, so they are installed apart, out of uv's cache
once it has them.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.run_fixture import write_run
from training.review.export import export_review
from training.review.reviews import import_reviews

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PACKAGES = "label-studio-sdk==2.1.2 argilla==2.8.0 requests"
INSTALL = f"""
set -e
cd {ROOT}
source scripts/uv.sh
echo "opencv-python-headless ; sys_platform == 'never'" > "$0/overrides.txt"
uv venv --quiet --python {sys.executable} "$0/tools"
uv pip install --quiet --python "$0/tools" --overrides "$0/overrides.txt" {PACKAGES}
"""
UNREACHABLE = ("dns error", "could not connect", "connection", "timed out", "failed to fetch")
BACK = {
    "label-studio": ("{}.JSON/result.json", "{}.JSON_MIN/result.json"),
    "argilla": ("{}.nested.json", "{}.flat.json"),
}


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """A run, its exports, and what the tools made of them."""
    place = tmp_path_factory.mktemp("review")
    installed = subprocess.run(
        ["bash", "-c", INSTALL, str(place)], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        if any(words in installed.stderr.lower() for words in UNREACHABLE):
            pytest.skip(f"the package index cannot be reached: {installed.stderr[-300:]}")
        pytest.fail(installed.stderr)
    run = write_run(place / "run", 120)
    for tool in BACK:
        for queue in ("pairs", "escalated"):
            export_review(run, tool, queue, place / "exports" / f"{tool}-{queue}")
    (place / "back").mkdir()
    result = subprocess.run(
        [
            str(place / "tools" / "bin" / "python"),
            str(Path(__file__).with_name("reviewed_by_tools.py")),
            str(place / "exports"),
            str(place / "back"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return place


@pytest.mark.parametrize("queue", ["pairs", "escalated"])
@pytest.mark.parametrize(("tool", "shape"), [(t, s) for t, shapes in BACK.items() for s in shapes])
def test_what_the_tools_write_after_a_review_comes_back_whole(
    reviewed, tmp_path, tool, shape, queue
):
    exported = reviewed / "exports" / f"{tool}-{queue}" / "key.jsonl"
    asked = exported.read_text(encoding="utf-8").count("\n")
    file = reviewed / "back" / shape.format(f"{tool}-{queue}")
    result = import_reviews(
        file, reviewed / "run", tmp_path / "reviews", all_submitted="nested" in shape
    )
    assert len(result.reviews) == asked and not result.unused
    assert {len(review.votes) for review in result.reviews} == {2 if tool == "argilla" else 1}
    for number, review in enumerate(result.reviews):
        lengths = [len(reply) for reply in review.item.replies]
        longer = None if lengths[0] == lengths[-1] else "A" if lengths[0] > lengths[1] else "B"
        expected = "keeps" if queue == "escalated" else longer
        assert review.verdict == (None if number % 7 == 0 else expected)
        assert {vote.comment for vote in review.votes} == {"because"}
