"""Models as their authors published them: values of config.json, and parameters, by hand."""

import json

LLAMA = {"model_type": "llama", "num_key_value_heads": 8, "vocab_size": 128256}
QWEN = {"model_type": "qwen2", "vocab_size": 152064, "max_position_embeddings": 32768}


def config(family, hidden, layers, heads, inner, **more):
    return {
        **family,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        **more,
    }


def qwen(hidden, layers, heads, keys, inner, **more):
    return config(QWEN, hidden, layers, heads, inner, num_key_value_heads=keys, **more)


SMALL = {"tie_word_embeddings": True, "vocab_size": 151936}
MISTRAL = {"model_type": "mistral", "num_key_value_heads": 8, "vocab_size": 32000}
GEMMA = {"model_type": "gemma2", "num_key_value_heads": 8, "vocab_size": 256000, "head_dim": 256}
EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2}

PUBLISHED = {
    "meta-llama/Llama-3.1-8B-Instruct": (
        config(LLAMA, 4096, 32, 32, 14336, max_position_embeddings=131072),
        8_030_261_248,
    ),
    "meta-llama/Llama-3.1-70B-Instruct": (config(LLAMA, 8192, 80, 64, 28672), 70_553_706_496),
    "Qwen/Qwen2.5-0.5B-Instruct": (qwen(896, 24, 14, 2, 4864, **SMALL), 494_032_768),
    "Qwen/Qwen2.5-1.5B-Instruct": (qwen(1536, 28, 12, 2, 8960, **SMALL), 1_543_714_304),
    "Qwen/Qwen2.5-3B-Instruct": (qwen(2048, 36, 16, 2, 11008, **SMALL), 3_085_938_688),
    "Qwen/Qwen2.5-7B-Instruct": (qwen(3584, 28, 28, 4, 18944), 7_615_616_512),
    "Qwen/Qwen2.5-14B-Instruct": (qwen(5120, 48, 40, 8, 13824), 14_770_033_664),
    "Qwen/Qwen2.5-32B-Instruct": (qwen(5120, 64, 40, 8, 27648), 32_763_876_352),
    "Qwen/Qwen2.5-72B-Instruct": (qwen(8192, 80, 64, 8, 29568), 72_706_203_648),
    "mistralai/Mistral-7B-v0.1": (config(MISTRAL, 4096, 32, 32, 14336), 7_241_732_096),
    "google/gemma-2-9b": (config(GEMMA, 3584, 42, 16, 14336), 9_241_705_984),
    "mistralai/Mixtral-8x7B-v0.1": (
        config({**MISTRAL, "model_type": "mixtral"}, 4096, 32, 32, 14336, **EXPERTS),
        46_702_792_704,
    ),
}


def fill_cache(folder, monkeypatch, names=PUBLISHED):
    """The hub client's cache in `folder`, with configurations alone."""
    for name in names:
        model = folder / f"models--{name.replace('/', '--')}"
        (model / "snapshots" / "abc").mkdir(parents=True)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("abc", encoding="utf-8")
        text = json.dumps(PUBLISHED[name][0])
        (model / "snapshots" / "abc" / "config.json").write_text(text, encoding="utf-8")
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
