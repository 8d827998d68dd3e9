"""What a run's config says of the tokenizer and of token shards. Light."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Lt


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerOptions:
    """Byte-level BPE, trained on the clean text or given."""

    file: str | None = None
    """A tokenizer.json, or tiktoken's ranks (.tiktoken) with their `pattern`, to encode with instead of training one."""
    vocab_size: Annotated[int, Ge(257)] = 8192
    """Ids in all: 256 bytes, merges, and the end of text."""
    pattern: Literal["gpt2", "cl100k"] = "gpt2"
    """How text is cut before merging: as GPT-2 or as GPT-4 does."""
    memory: int = 2_000_000_000
    """What training and measuring may use, as one process: "2GB"; beyond it the rarest pre-tokens are not learned from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardOptions:
    """Token arrays on disk."""

    tokens: Annotated[int, Ge(1)] = 10_000_000
    """Tokens a shard; the last of a split is shorter."""
    validation: Annotated[float, Ge(0), Lt(1)] = 0.02
    """The share of duplicate clusters held out."""
    seed: int = 0
    """Of the order of documents, and of which are held out."""
    memory: int = field(default=1_000_000_000, metadata={"hashed": False})
    """What merging the parts may use, as one process: "1GB"; it changes nothing in what is written."""
