"""Engines on a GPU: what they take, and what is said where it is not there."""

import pytest

from engine.sizing.gpus import GIB, read_machine
from engine.sizing.need import refusal
from engine.sizing.pace import READING, TRAINING, WRITING, Work, gpu_hours
from engine.sizing.serving import engine_of
from engine.sizing.shape import shape_of
from engine.sizing.sized import Sizes
from engine.sizing.stages import TokenSum, serving_stage
from tests.engine.sizing.published import PUBLISHED, fill_cache

H100, H100S, L4 = read_machine("H100-80GB"), read_machine("H100-80GB x8"), read_machine("L4")
LLAMA, LARGE = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-70B-Instruct"


@pytest.fixture
def sizes(tmp_path, monkeypatch):
    fill_cache(tmp_path, monkeypatch)
    return Sizes()


def refused(machine, sizes, *specs):
    problem = refusal("revise", serving_stage(specs, sizes, machine), machine)
    return str(problem) if problem else None


def test_an_engine_takes_its_share_and_says_what_the_cache_holds(sizes):
    need = serving_stage([f"vllm:{LLAMA}?max_model_len=4096"], sizes, H100)
    assert need.total == pytest.approx(0.92 * H100.gpu.memory)
    left = 0.92 * H100.gpu.memory - 2 * 8_030_261_248 - 2 * GIB
    assert need.notes == (
        f"{left / 2**17:,.0f} tokens of KV cache, {left / 2**17 / 4096:,.0f} of the longest sequences",
    )


def test_two_engines_at_once_share_a_gpu(sizes):
    specs = [f"vllm:{LLAMA}?max_model_len=4096", "vllm:Qwen/Qwen2.5-7B-Instruct?max_model_len=4096"]
    need = serving_stage(specs, sizes, H100)
    assert need.total == pytest.approx(0.88 * H100.gpu.memory)
    assert "fits with gpu_memory_utilization 0.47 for each of the 2 engines" in refused(
        H100, sizes, *(f"{spec}&gpu_memory_utilization=0.9" for spec in specs)
    )
    assert refused(H100, sizes, *(f"{spec}&gpu_memory_utilization=0.46" for spec in specs)) is None
    assert refused(H100, sizes, specs[0], specs[0]) is None, "equal specs share one"


def test_the_longest_sequence_must_fit(sizes):
    said = refused(L4, sizes, f"vllm:{LLAMA}?max_model_len=131072")
    assert "takes at least 33.0 GiB where gpu_memory_utilization 0.92 gives it 20.2" in said
    assert "max_model_len 26880" in said and "tensor_parallel_size 2 on 2 GPUs" in said


def test_a_model_over_several_gpus(sizes):
    assert refused(H100S, sizes, f"vllm:{LARGE}?tensor_parallel_size=4&max_model_len=8192") is None
    alone = refused(H100, sizes, f"vllm:{LARGE}?max_model_len=8192")
    assert "fits with tensor_parallel_size 2 on 2 GPUs" in alone
    assert "needs 4 GPUs where there are 1" in refused(
        H100, sizes, f"vllm:{LARGE}?tensor_parallel_size=4&max_model_len=8192"
    )


def test_a_share_that_two_engines_cannot_both_have_is_no_remedy(sizes):
    spec = "vllm:Qwen/Qwen2.5-7B-Instruct?max_model_len=4096&gpu_memory_utilization=0.44"
    assert "fits with gpu_memory_utilization 0.75, or tensor" in refused(L4, sizes, spec)
    said = refused(L4, sizes, spec, f"{spec}&seed=1")
    assert "fits with tensor_parallel_size 2 on 2 GPUs" in said and said.count("at least") == 1


def test_fewer_bytes_of_a_weight_count(sizes):
    spec = f"vllm:{LARGE}?max_model_len=32768&quantization="
    assert refused(H100, sizes, f"{spec}awq") is None and refused(H100, sizes, f"{spec}fp8")


def test_key_heads_are_shared_out_and_none_is_cut(sizes):
    engine = engine_of("vllm:Qwen/Qwen2.5-7B-Instruct?tensor_parallel_size=8", "x", sizes)
    shape = shape_of(PUBLISHED["Qwen/Qwen2.5-7B-Instruct"][0])
    by_name = engine_of("vllm:X?tensor_parallel_size=8", "Qwen/Qwen2.5-7B-Instruct", sizes)
    assert engine.model.shape is None and by_name.cache(1) == shape.cache_bytes / 4


def test_a_server_here_is_said_and_not_counted(sizes):
    local = serving_stage([f"server:{LLAMA}@http://localhost:8000/v1"], sizes, H100)
    assert local.total == 0 and "localhost:8000" in local.notes[0]
    assert "15.0 GiB of weights, is not counted: give it a GPU of its own (there is one)" in str(
        local.notes
    )
    assert serving_stage([f"server:{LLAMA}@http://far.example/v1"], sizes, H100) is None
    assert serving_stage(["scripted"], sizes, H100) is None


@pytest.mark.parametrize("spec", ["scripted?method=debate", "scripted:f.yaml", "server:m@http://h"])
def test_only_what_runs_here_takes_hours_here(spec):
    work = TokenSum()
    work.add(spec, 10, 10)
    assert work.tokens == {}


def test_a_model_of_unknown_size_is_said_and_not_counted(sizes):
    need = serving_stage(["vllm:org/nameless"], sizes, None)
    assert "not counted: org/nameless: its size is not known" in need.notes[0]


def test_operations_are_two_a_parameter_and_three_times_that_to_train():
    shape = shape_of(PUBLISHED[LLAMA][0])
    count, peak = shape.parameters, 989e12
    assert gpu_hours([Work(shape, trained=1e9)], peak) == pytest.approx(
        6 * count * 1e9 / (TRAINING * peak) / 3600
    )
    assert gpu_hours([Work(shape, read=1e9), Work(shape, written=1e9)], peak) == pytest.approx(
        2 * count * 1e9 * (1 / READING + 1 / WRITING) / peak / 3600
    )
    assert gpu_hours([Work(shape, read=1)], None) is None
