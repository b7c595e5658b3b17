"""SFT and DPO on two processes of one CPU (gloo), launched as the documentation says."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from engine.storage.jsonl import read_jsonl
from tests.engine.tiny_model import build_tiny_model

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "scripts" / "accelerate").glob("*.yaml"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("trl")
    folder = tmp_path_factory.mktemp("two")
    build_tiny_model(folder / "base")
    rows = [
        {
            "id": f"p{number}",
            "prompt": [{"role": "user", "content": f"Question {number}?"}],
            "completion": [{"role": "assistant", "content": "Yes. " * (number % 5 + 1)}],
            "chosen": [{"role": "assistant", "content": "Yes. " * (number % 5 + 1)}],
            "rejected": [{"role": "assistant", "content": "No."}],
        }
        for number in range(40)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "rows.jsonl").write_text(lines, encoding="utf-8")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    config = ROOT / "scripts" / "accelerate" / "two_process_cpu.yaml"
    worker = ["-m", "tests.training.distributed_worker", str(folder)]
    done = subprocess.run(
        [*launch, str(config), *worker],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_two_processes_share_the_rows(trained, trainer):
    manifest = json.loads((trained / trainer / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["complete"]
    assert manifest["steps"] == math.ceil(manifest["rows"]["train"] / (2 * 2))
    for rank in (0, 1):
        report = json.loads((trained / f"rank-{rank}.json").read_text(encoding="utf-8"))
        assert report["steps"][trainer] == manifest["steps"]
    logged = [
        line["step"] for line in read_jsonl(trained / trainer / "log.jsonl") if "loss" in line
    ]
    assert logged == list(range(1, manifest["steps"] + 1))


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["sft", "dpo"])
def test_the_final_model_loads(trained, trainer):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(trained / trainer / "model")
    assert AutoTokenizer.from_pretrained(trained / trainer / "model").chat_template


@pytest.mark.slow
def test_the_second_process_writes_nothing_but_its_own_random_state(trained):
    written = json.loads((trained / "rank-1.json").read_text(encoding="utf-8"))["written"]
    assert [name for name in written if not name.endswith("rng_state_1.pth")] == []


@pytest.mark.slow
@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_accelerate_reads_every_configuration(file):
    config_args = pytest.importorskip("accelerate.commands.config.config_args")
    loaded = config_args.load_config_from_file(str(file))
    assert loaded.num_processes > 1


@pytest.mark.slow
@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_accelerate_knows_every_key(file):
    launch = pytest.importorskip("accelerate.commands.launch")
    known = vars(launch.launch_command_parser().parse_args(["train.py"]))
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section in ("fsdp_config", "deepspeed_config"):
        assert set(written.get(section, {})) <= known.keys()


def test_the_slurm_script_is_a_shell_script():
    script = ROOT / "scripts" / "slurm" / "train.sbatch"
    subprocess.run(["bash", "-n", str(script)], check=True)
