"""Options of a run's config for copies: of documents, and of lines, sentences, n-grams and passages within them.

This module is light: it loads neither Numba nor Arrow.
"""

from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """Lines that repeat across the kept documents (pipeline.filters.lines)."""

    max_count: Annotated[int, Ge(1)] = 1
    """How often a line may occur (CCNet: 1; Llama 3: 6)."""
    keep: Literal["first", "none"] = "first"
    """What stays of a line that occurs more often: its first `max_count` occurrences (CCNet), or none (Llama 3)."""
    normalize: bool = True
    """Ignore case, digits, punctuation and white space at the ends, as CCNet does."""
    lower: bool = False
    """Ignore the case of ASCII letters and white space at the ends, as C4's code does; needs normalize = false."""
    bucket: Annotated[int, Ge(1)] | None = None
    """Count within buckets of N documents (Llama 3: 30,000,000); absent: across all documents."""

    def __post_init__(self) -> None:
        if self.normalize and self.lower:
            raise ValueError("lower: needs normalize = false; normalize includes it")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceOptions:
    """Spans of sentences that repeat across the kept documents (pipeline.filters.dedup.sentences)."""

    span: Annotated[int, Ge(1)] = 3
    """Consecutive sentences per span (C4: 3)."""
    max_count: Annotated[int, Ge(1)] = 1
    """How often a span may occur (C4: 1)."""
    keep: Literal["first", "none"] = "first"
    """What stays of a span that occurs more often: its first `max_count` occurrences (C4), or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramOptions:
    """Paragraphs and documents whose n-grams occurred before, as in DCLM's bff (pipeline.filters.dedup.bloom)."""

    size: Annotated[int, Ge(1)] = 13
    """Tokens per n-gram."""
    min_tokens: Annotated[int, Ge(1)] | None = None
    """Paragraphs with fewer tokens stay; absent: `size`, as in DCLM-Baseline."""
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.8
    """Remove what has a larger share of n-grams that occurred before."""
    false_positives: Annotated[float, Gt(0), Lt(1)] = 0.01
    """The rate at which the Bloom filter may mistake a new n-gram for one that occurred before."""
    remove: Literal["paragraph", "document", "old-both"] = "old-both"
    """What is removed: paragraphs, whole documents, or both: paragraphs, and documents with too many known n-grams (DCLM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstringOptions:
    """Passages that occur in the corpus more than once (Lee et al. 2021; RefinedWeb; pipeline.filters.dedup.substrings)."""

    min_tokens: Annotated[int, Ge(2)] = 50
    """Shorter passages stay; words and symbols are tokens."""
    keep: Literal["first", "none"] = "first"
    """What stays of a repeated passage: its first occurrence, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinHashOptions:
    """MinHash signatures (defaults: FineWeb, section 3.4: 112 hashes, 14 x 8, 5-grams)."""

    unit: Literal["words", "characters"] = "words"
    """What shingles are made of."""
    ngram: Annotated[int, Ge(1)] = 5
    """Words or characters per shingle."""
    bands: Annotated[int, Ge(1), Le(1000)] = 14
    """Bands per signature; documents that agree in a whole band are compared."""
    rows: Annotated[int, Ge(1), Le(1000)] = 8
    """Hashes per band."""
    seed: Annotated[int, Ge(0), Lt(1 << 32)] = 1
    """The seed of the permutations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateOptions(MinHashOptions):
    """Exact copies, then near copies by MinHash-LSH, then repeated text within the documents that stay."""

    verify: Literal["exact", "signature", "none"] = "exact"
    """How candidates are compared: by the true Jaccard similarity of their shingles (exact), by the estimate from their
    signatures (signature; stores 8 bytes per hash), or not at all (none), which also joins documents through chains."""
    threshold: Annotated[float, Gt(0), Le(1)] = 0.8
    """A document is dropped only if a kept one has at least this similarity to it."""
    keep: tuple[str, ...] = ("longest",)
    """Which document of a cluster is kept: preferences, each deciding the ties of those before (dedup/keep_policy.py)."""
    against: tuple[str, ...] = ()
    """Directories of earlier runs: copies of documents they kept are dropped too."""
    memory: int = 2_000_000_000
    """The memory each step of the stage may use in the parent process, libraries included: "2GB"."""
    lines: LineOptions | None = None
    sentences: SentenceOptions | None = None
    ngrams: NgramOptions | None = None
    substrings: SubstringOptions | None = None
    min_words: Annotated[int, Ge(1)] = 1
    """Drop documents with fewer words after these cuts."""
    min_sentences: Annotated[int, Ge(1)] | None = None
    """Drop documents with fewer sentences after these cuts (C4's code: 3)."""

    @property
    def families(self) -> tuple[str, ...]:
        """What is cut out of documents, by key: those of lines, sentences, ngrams and substrings that are on."""
        return tuple(key.name for key in fields(self) if is_dataclass(getattr(self, key.name)))
