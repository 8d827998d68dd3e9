"""Options of a run's config for the tokenizer and for shards. This module is light: it loads neither Numba nor Arrow."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Lt


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerOptions:
    """Byte-level BPE, trained on the clean text or read from a file."""

    file: str | None = None
    """Instead of training: a tokenizer.json, or tiktoken's ranks (.tiktoken) with their `pattern`."""
    vocab_size: Annotated[int, Ge(257)] = 8192
    """Number of ids: 256 bytes, the merges, and end-of-text."""
    pattern: Literal["gpt2", "cl100k", "llama3", "o200k", "qwen2"] = "gpt2"
    """How text is cut into pre-tokens: as in GPT-2, GPT-4 (cl100k; Llama 3 cuts alike), GPT-4o (o200k) or Qwen2 to Qwen3."""
    memory: int = 2_000_000_000
    """Memory of the process that trains and measures: "2GB"; if it is too little, the rarest pre-tokens are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """Shards: token arrays on disk."""

    tokens: Annotated[int, Ge(1)] = 10_000_000
    """Tokens per shard; the last shard of a split is shorter."""
    validation: Annotated[float, Ge(0), Lt(1)] = 0.02
    """The share of clusters held out for validation."""
    seed: int = 0
    """The seed of the order of documents, and of which are held out."""
    memory: int = field(default=1_000_000_000, metadata={"hashed": False})
    """Memory of the process that merges the encoded parts: "1GB"; it makes no difference to the shards."""
