"""Exported files as TRL sees them: loaded by `datasets`, recognised and templated by TRL."""

import pytest

from tests.engine.run_fixture import write_run
from training.data.export import ExportFormat, ExportOptions, export_run

pytestmark = pytest.mark.slow

MESSAGES = {
    ExportFormat.TRL_SFT: ("prompt", "completion"),
    ExportFormat.TRL_PREFERENCE: ("prompt", "chosen", "rejected"),
    ExportFormat.TRL_PROMPT: ("prompt",),
    ExportFormat.LLM_SWARM: ("messages", "chosen", "rejected"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", 60)


def load(run, format, tmp_path):
    datasets = pytest.importorskip("datasets")
    options = ExportOptions(every_revision=True, test_share=0.3)
    result = export_run(run, format, tmp_path / "rows", options)
    loaded = datasets.load_dataset(str(result.path), cache_dir=str(tmp_path / "cache"))
    assert (len(loaded["train"]), len(loaded["test"])) == (result.rows, result.test_rows)
    return loaded["train"]


@pytest.mark.parametrize("format", list(ExportFormat))
def test_datasets_loads_the_columns(run, tmp_path, format):
    loaded = load(run, format, tmp_path)
    for column in MESSAGES[format]:
        assert {key for turn in loaded[0][column] for key in turn} == {"role", "content"}
    last = "user" if format is ExportFormat.TRL_PROMPT else "assistant"
    assert all(row[MESSAGES[format][-1]][-1]["role"] == last for row in loaded)


@pytest.mark.parametrize("format", [ExportFormat.TRL_SFT, ExportFormat.TRL_PREFERENCE])
def test_trl_takes_the_rows_for_conversations(run, tmp_path, format):
    data_utils = pytest.importorskip("trl.data_utils")
    loaded = load(run, format, tmp_path)
    tokenizer = _Tokenizer()
    for row in loaded:
        messages = {column: row[column] for column in MESSAGES[format]}
        assert data_utils.is_conversational(messages)
        templated = data_utils.maybe_apply_chat_template(messages, tokenizer)
        assert templated["prompt"].endswith("<assistant>")
        for column in MESSAGES[format][1:]:
            assert templated[column] == f"{row[column][0]['content']}</assistant>"


class _Tokenizer:
    """Just enough of a tokenizer for TRL to apply a chat template with."""

    chat_template = "{{ messages }}"

    def apply_chat_template(self, messages, *, add_generation_prompt=False, tokenize=False, **_):
        text = "".join(f"<{m['role']}>{m['content']}</{m['role']}>" for m in messages)
        return f"{text}<assistant>" if add_generation_prompt else text
