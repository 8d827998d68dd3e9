"""A decoder-only Transformer of Llama's architecture, in plain torch.

Pre-norm blocks: x + attention(norm(x)), then x + swiglu(norm(x)). RMSNorm, rotary positions, grouped-query
attention, SwiGLU, no biases, no dropout. The conventions (which halves RoPE rotates, where eps is added) are those of
Hugging Face's `LlamaForCausalLM`, so that `export.py` only renames weights.

Shapes: B sequences, T tokens, D width, H query heads, K key and value heads, d = D / H width of a head, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.arguments import kind_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The shape of a model; `pipeline.train.config.TrainConfig` explains the fields."""

    vocab_size: int
    layers: int
    width: int
    heads: int
    kv_heads: int
    hidden: int
    context: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie_embeddings: bool = True


class RMSNorm(nn.Module):
    """x / sqrt(mean(x²) + eps) * weight over the last axis (Zhang & Sennrich 2019, arXiv 1910.07467)."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]; the mean of squares is taken in float32 for any input type."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight.float(), self.eps).type_as(x)


class RotaryEmbedding(nn.Module):
    """Rotary positions (Su et al. 2021, arXiv 2104.09864).

    At position t the pair (i, i + d/2) of a head is rotated by the angle t / theta^(2i/d). The paper rotates neighbours
    (2i, 2i + 1); Hugging Face's Llama rotates halves, which only renumbers the units.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_width: int, context: int, theta: float = 10_000.0) -> None:
        super().__init__()
        frequencies = 1.0 / theta ** (torch.arange(0, head_width, 2).float() / head_width)  # [d/2]
        angles = torch.outer(torch.arange(context).float(), frequencies)  # [T, d/2]
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, heads, T, d] to the same; row t is at position t, T is at most the context."""
        cos, sin = self.cos[: x.shape[-2]], self.sin[: x.shape[-2]]
        first, second = x.float().chunk(2, dim=-1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).type_as(x)


def attention(queries: Tensor, keys: Tensor, values: Tensor, sees: Tensor | None = None) -> Tensor:
    """Grouped-query attention: [B, H, T, d], [B, K, T, d], [B, K, T, d] to [B, H, T, d].

    Query head h attends to key head h // (H / K). Softmax of q·k / sqrt(d) over this and earlier positions, or over those
    where `sees` (bool [B, T, T]) is true.
    """
    group = queries.shape[1] // keys.shape[1]
    if group > 1:
        keys, values = keys.repeat_interleave(group, dim=1), values.repeat_interleave(group, dim=1)
    if sees is not None:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=sees[:, None])
    return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)


class Attention(nn.Module):
    """`attention` with its projections and rotary positions."""

    def __init__(self, config: ModelConfig, rotary: RotaryEmbedding) -> None:
        super().__init__()
        self.head_width = config.width // config.heads
        self.query = nn.Linear(config.width, config.heads * self.head_width, bias=False)
        self.key = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.value = nn.Linear(config.width, config.kv_heads * self.head_width, bias=False)
        self.output = nn.Linear(config.heads * self.head_width, config.width, bias=False)
        self.rotary = rotary

    def forward(self, x: Tensor, sees: Tensor | None = None) -> Tensor:
        """[B, T, D] to [B, T, D]; `sees` as for `attention`."""
        q, k, v = (self._heads(project(x)) for project in (self.query, self.key, self.value))
        mixed = attention(self.rotary(q), self.rotary(k), v, sees)  # [B, H, T, d]
        projected: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return projected

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_width).transpose(1, 2)  # [B, T, heads * d] to [B, heads, T, d]


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] to [..., D]."""
        mixed: Tensor = self.down(F.silu(self.gate(x)) * self.up(x))
        return mixed


class Block(nn.Module):
    """One layer: attention, then SwiGLU, each normed before and added after."""

    def __init__(self, config: ModelConfig, rotary: RotaryEmbedding) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.width, config.norm_eps)
        self.attention = Attention(config, rotary)
        self.mlp_norm = RMSNorm(config.width, config.norm_eps)
        self.mlp = SwiGLU(config.width, config.hidden)

    def forward(self, x: Tensor, sees: Tensor | None = None) -> Tensor:
        """[B, T, D] to [B, T, D]; `sees` as for `attention`."""
        x = x + self.attention(self.attention_norm(x), sees)
        mixed: Tensor = x + self.mlp(self.mlp_norm(x))
        return mixed


class Transformer(nn.Module):
    """Tokens to the next token's logits. Initial weights are drawn from torch's global generator."""

    def __init__(self, config: ModelConfig) -> None:
        if not isinstance(config, ModelConfig):
            raise TypeError(f"config must be a ModelConfig, not {kind_of(config)}")
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        rotary = RotaryEmbedding(config.width // config.heads, config.context, config.rope_theta)
        self.blocks = nn.ModuleList(Block(config, rotary) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.norm_eps)
        self.head = None if config.tie_embeddings else nn.Linear(config.width, config.vocab_size, bias=False)
        self._draw_weights()

    @torch.no_grad()
    def _draw_weights(self) -> None:
        """Normal with deviation 0.02, divided by sqrt(2 * layers) for matrices that write into the residual stream.

        As in GPT-2 (Radford et al. 2019, section 2.3; 0.02 from its published code), so that the variance of the stream does
        not grow with depth. Norms start at one.
        """
        into_stream = 0.02 / math.sqrt(2 * self.config.layers)
        for name, weights in self.named_parameters():
            if weights.ndim > 1:
                weights.normal_(std=into_stream if name.endswith(("output.weight", "down.weight")) else 0.02)

    def forward(self, tokens: Tensor, sees: Tensor | None = None) -> Tensor:
        """Token ids [B, T], T at most the context, to logits [B, T, V] for the objective's target at each position.

        Each position attends to those up to itself, or to those where `sees` (bool [B, T, T]) is true. Rotary positions count
        from the row's start: attention depends only on differences of positions, so documents need no positions of their own.
        """
        if not isinstance(tokens, Tensor):
            raise TypeError(f"tokens must be a tensor of token ids [B, T], not {kind_of(tokens)}")
        x: Tensor = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, sees)
        return F.linear(self.norm(x), self.embedding.weight if self.head is None else self.head.weight)

    def parameter_count(self) -> int:
        """The number of parameters; a tied matrix counts once."""
        return sum(weights.numel() for weights in self.parameters())
