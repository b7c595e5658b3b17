"""How large a model is, from the values of its `config.json` alone: no weights, no torch.

Parameters are counted by the sizes of a decoder's matrices, as transformers builds them: attention
(grouped queries: Ainslie et al. 2023, arXiv 2305.13245), a gated or plain feed-forward part (Shazeer
2020, arXiv 2002.05202), experts (Jiang et al. 2024, arXiv 2401.04088), norms and embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

__all__ = ["MOST_LAYERS", "ModelShape", "UnknownShape", "shape_from_count", "shape_of"]

_Size = Annotated[int, Field(ge=1, le=10**7)]
MOST_LAYERS = 10_000
"""More are no model, and counting them would take long."""

_UNTIED = frozenset(
    "granite llama mistral mixtral olmo2 phi3 qwen2 qwen2_moe qwen3 qwen3_moe".split()
)
_TIED = frozenset("gemma gemma2 gemma3_text smollm3".split())
"""Families whose matrices are those below; the second has one matrix for input and output unless its
configuration says otherwise."""
_FOUR_NORMS = frozenset({"gemma2", "gemma3_text"})
_HEAD_NORMS = frozenset({"gemma3_text", "qwen3", "qwen3_moe"})
"""With a norm of queries and one of keys, as wide as a head."""
_QKV_BIAS = frozenset({"qwen2", "qwen2_moe"})
_HEAD_OF_128 = frozenset({"qwen3"})
_BYTES_IN_CACHE = 2
"""Of a value in the KV cache: bfloat16 or float16."""


class UnknownShape(Exception):
    """The configuration is not of a family whose parameters are known by formula."""


class _Config(BaseModel):
    """What is read of a `config.json`."""

    model_config = ConfigDict(extra="ignore")

    model_type: str = ""
    hidden_size: _Size
    num_hidden_layers: Annotated[int, Field(ge=1, le=MOST_LAYERS)]
    num_attention_heads: _Size
    num_key_value_heads: _Size | None = None
    head_dim: _Size | None = None
    intermediate_size: _Size
    vocab_size: _Size
    tie_word_embeddings: bool | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    max_position_embeddings: _Size | None = None
    num_local_experts: _Size | None = None
    num_experts: _Size | None = None
    num_experts_per_tok: _Size = 2
    moe_intermediate_size: _Size | None = None
    shared_expert_intermediate_size: _Size | None = None
    decoder_sparse_step: int = 1
    mlp_only_layers: list[int] = []


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes of a decoder. `parameters` are all, `active` those that one token passes through;
    `head` those of the output layer; `linear` those of the layers' matrices, which may be quantised;
    `adapted` is how many parameters an adapter of rank 1 on each of these has."""

    parameters: int
    active: int
    head: int
    linear: int
    adapted: int
    layers: int
    hidden: int
    inner: int
    """Width of the feed-forward part that one token passes through: of all its experts together."""
    queries: int
    """Width of all queries of a layer: heads × their width."""
    keys: int
    """Width of all keys of a layer, and of all values."""
    key_heads: int
    context: int | None = None
    """Longest sequence, in tokens, if the configuration tells."""

    @property
    def cache_bytes(self) -> int:
        """Bytes of the KV cache that a token takes: keys and values of every layer, 16 bits each."""
        return 2 * self.layers * self.keys * _BYTES_IN_CACHE

    @property
    def layer(self) -> int:
        """Parameters of one layer, on average."""
        return self.linear // self.layers

    def adapter(self, rank: int) -> int:
        """Parameters of low-rank adapters on all linear layers but the head (Hu et al. 2021): a matrix
        of m × n gets rank × (m + n)."""
        return rank * self.adapted


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """By formula. Raises UnknownShape for families that have matrices of other kinds, and for what
    lacks a value that is needed.

    Of a model that also sees or hears, the part that reads and writes text.
    """
    text = config.get("text_config")
    try:
        read = _Config.model_validate(text if isinstance(text, dict) else config)
    except ValidationError as error:
        wrong = ", ".join(str(each["loc"][0]) for each in error.errors())
        raise UnknownShape(f"config.json has no usable {wrong}") from None
    if read.model_type not in _UNTIED | _TIED:
        raise UnknownShape(f"models of type {read.model_type!r} are not known by formula")
    return _Counted(read).shape()


class _Counted:
    """The sums of one configuration."""

    def __init__(self, config: _Config) -> None:
        self.config = config
        self.heads = config.num_attention_heads
        self.key_heads = config.num_key_value_heads or self.heads
        family = 128 if config.model_type in _HEAD_OF_128 else config.hidden_size // self.heads
        self.head_width = config.head_dim or family
        self.queries, self.keys = self.heads * self.head_width, self.key_heads * self.head_width

    def shape(self) -> ModelShape:
        config, hidden = self.config, self.config.hidden_size
        layers = config.num_hidden_layers
        attention = 2 * hidden * (self.queries + self.keys)
        matrices = [self._feed_forward(number) for number in range(layers)]
        embedding = config.vocab_size * hidden
        tied = config.tie_word_embeddings
        tied = config.model_type in _TIED if tied is None else tied
        around = embedding * (1 if tied else 2) + hidden + layers * self._small()
        every, active = (sum(each) for each in zip(*matrices, strict=True))
        inner = max(each[1] for each in matrices) // (3 * hidden)
        dense = self._experts is None
        return ModelShape(
            parameters=around + layers * attention + every,
            active=around + layers * attention + active,
            head=embedding,
            linear=layers * attention + every,
            adapted=layers * (2 * (hidden + self.queries) + 2 * (hidden + self.keys))
            + (layers * 3 * (hidden + config.intermediate_size) if dense else 0),
            layers=layers,
            hidden=hidden,
            inner=inner,
            queries=self.queries,
            keys=self.keys,
            key_heads=self.key_heads,
            context=config.max_position_embeddings,
        )

    @property
    def _experts(self) -> int | None:
        return self.config.num_local_experts or self.config.num_experts

    def _feed_forward(self, number: int) -> tuple[int, int]:
        """Parameters of a layer's matrices after the attention: all, and those of one token."""
        config, hidden = self.config, self.config.hidden_size
        dense = 3 * hidden * config.intermediate_size
        step = config.decoder_sparse_step
        sparse = number not in config.mlp_only_layers and step > 0 and (number + 1) % step == 0
        if self._experts is None or not sparse:
            return dense, dense
        expert = 3 * hidden * (config.moe_intermediate_size or config.intermediate_size)
        always = hidden * self._experts  # the router
        if config.model_type == "qwen2_moe":
            always += 3 * hidden * (config.shared_expert_intermediate_size or 0) + hidden
        return (
            always + self._experts * expert,
            always + min(self._experts, config.num_experts_per_tok) * expert,
        )

    def _small(self) -> int:
        """Norms and biases of a layer."""
        config, family = self.config, self.config.model_type
        norms = config.hidden_size * (4 if family in _FOUR_NORMS else 2)
        if family in _HEAD_NORMS:
            norms += 2 * self.head_width
        elif family == "olmo2":
            norms += self.queries + self.keys
        biases = 0
        if family in _QKV_BIAS or config.attention_bias:
            biases += self.queries + 2 * self.keys
        if config.attention_bias:
            biases += config.hidden_size
        if config.mlp_bias:
            biases += 2 * config.intermediate_size + config.hidden_size
        return norms + biases


_ASPECT = 128
"""Hidden width over number of layers that a model is taken to have: of 7 billion parameters and more
Llama, Mistral, Gemma and Qwen lie between 80 and 140."""
_VOCABULARY = 128_000
_SHARED = 4
"""Query heads to a key head, each 128 wide."""


def shape_from_count(parameters: int, active: int | None = None) -> ModelShape:
    """A likely shape for a number of parameters: 12 × layers × hidden² of them (Kaplan et al. 2020, arXiv
    2001.08361, table 1), 128 times as wide as deep."""
    hidden = max(128, round((_ASPECT * parameters / 12) ** (1 / 3) / 128) * 128)
    layers = max(1, round(parameters / (12 * hidden**2)))
    key_heads = max(1, hidden // 128 // _SHARED)
    keys, inner = 128 * key_heads, round(3.5 * hidden)
    return ModelShape(
        parameters=parameters,
        active=active or parameters,
        head=_VOCABULARY * hidden,
        linear=parameters,
        adapted=layers * (4 * hidden + 2 * (hidden + keys) + 3 * (hidden + inner)),
        layers=layers,
        hidden=hidden,
        inner=inner,
        queries=hidden,
        keys=keys,
        key_heads=key_heads,
    )
