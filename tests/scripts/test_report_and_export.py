"""What `solon report` and `solon export` say in the terminal."""

import io

import pytest
from rich.console import Console

from constitution.problems import InputError
from engine.report import summarize
from scripts.commands.export import export
from scripts.commands.report import report
from scripts.commands.run_command import print_summary
from tests.engine.run_fixture import PRINCIPLES, write_run
from tests.scripts.invoking import invoke


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run", 60)


def test_report_writes_the_page_and_prints_its_path(run):
    result = invoke(report, run, "--sample", 5)
    assert result.exit_code == 0
    assert result.output.strip() == str(run / "report.html")
    assert (run / "report.html").is_file()


@pytest.mark.parametrize("command", [(report,), (export, "--format", "trl-sft")])
def test_a_directory_that_is_no_run_is_the_users_error(tmp_path, command):
    result = invoke(command[0], tmp_path, *command[1:])
    assert isinstance(result.exception, InputError)


def test_export_says_what_was_left_out(run, tmp_path):
    result = invoke(export, run, "--format", "trl-preference", "--out", tmp_path / "rows")
    assert result.exit_code == 0, result.output
    assert "rows: " in result.output and "records left out: compliant" in result.output


def test_summary_has_a_line_for_each_principle(run):
    console = Console(file=io.StringIO(), width=120)
    print_summary(summarize(run), console)
    told = console.file.getvalue()
    assert all(principle in told for principle in PRINCIPLES)
    assert "household 1.2.0, complete" in told and "62 prompts" in told


def test_export_refuses_the_name_of_a_file(run, tmp_path):
    result = invoke(export, run, "--format", "trl-sft", "--out", tmp_path / "sft.jsonl")
    assert isinstance(result.exception, InputError)
    assert "name a directory, such as" in str(result.exception)


def test_export_writes_into_the_run_unless_told_otherwise(tmp_path):
    run = write_run(tmp_path / "run", 20)
    assert invoke(export, run, "--format", "trl-sft").exit_code == 0
    assert (run / "exports" / "trl-sft" / "train.jsonl").is_file()
