"""What a run's config says of copies: of documents, and of lines, sentences, n-grams and passages within them. Light."""

from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """Lines that repeat across the kept documents (pipeline.filters.lines)."""

    max_count: Annotated[int, Ge(1)] = 1
    """A line may occur at most N times (CCNet: 1; Llama 3: 6)."""
    keep: Literal["first", "none"] = "first"
    """Of a line that occurs more often: its first `max_count` occurrences stay (CCNet), or none (Llama 3)."""
    normalize: bool = True
    """Case, digits, punctuation and white space at the ends count for nothing, as in CCNet."""
    lower: bool = False
    """Without `normalize`: the case of ASCII letters and white space at the ends count for nothing (C4's code)."""
    bucket: Annotated[int, Ge(1)] | None = None
    """Count among N documents, then anew (Llama 3: 30,000,000); without it, among all."""

    def __post_init__(self) -> None:
        if self.normalize and self.lower:
            raise ValueError("lower: needs normalize = false; normalize does that and more")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceOptions:
    """Spans of sentences that repeat across the kept documents (pipeline.filters.dedup.sentences)."""

    span: Annotated[int, Ge(1)] = 3
    """Sentences one after another (C4: 3)."""
    max_count: Annotated[int, Ge(1)] = 1
    """A span may occur at most N times (C4: 1)."""
    keep: Literal["first", "none"] = "first"
    """Of a span that occurs more often: its first `max_count` occurrences stay (C4), or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NgramOptions:
    """Paragraphs and documents whose n-grams have been seen, as DCLM's bff (pipeline.filters.dedup.bloom)."""

    size: Annotated[int, Ge(1)] = 13
    """Tokens an n-gram."""
    min_tokens: Annotated[int, Ge(1)] | None = None
    """Paragraphs of fewer tokens stay; of `size` tokens without it, as for DCLM-Baseline."""
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.8
    """What has more of its n-grams seen goes."""
    false_positives: Annotated[float, Gt(0), Lt(1)] = 0.01
    """How often the Bloom filter may take an n-gram for seen that is not."""
    remove: Literal["paragraph", "document", "old-both"] = "old-both"
    """What goes: paragraphs; whole documents; or paragraphs, and documents of whose n-grams too many had been seen (DCLM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstringOptions:
    """Passages that stand in the corpus more than once (Lee et al. 2021; RefinedWeb; pipeline.filters.dedup.substrings)."""

    min_tokens: Annotated[int, Ge(2)] = 50
    """Passages of fewer tokens stay; words and signs are tokens."""
    keep: Literal["first", "none"] = "first"
    """The first occurrence stays, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinHashOptions:
    """How documents are signed (defaults: FineWeb, section 3.4: 112 hashes, 14 x 8, 5-grams)."""

    unit: Literal["words", "characters"] = "words"
    """What shingles are made of."""
    ngram: Annotated[int, Ge(1)] = 5
    """Words, or characters, a shingle."""
    bands: Annotated[int, Ge(1), Le(1000)] = 14
    """Documents that agree in one whole band are compared."""
    rows: Annotated[int, Ge(1), Le(1000)] = 8
    """Hashes a band."""
    seed: int = 1
    """Of the permutations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateOptions(MinHashOptions):
    """Exact copies, then MinHash-LSH among what remains, then what repeats within the documents that stay."""

    verify: Literal["exact", "signature", "none"] = "exact"
    """How candidates are compared: by the true Jaccard similarity of their shingles, by the estimate of their signatures
    (stored whole then: 8 bytes a hash), or not at all, which joins whatever hangs together by chains."""
    threshold: Annotated[float, Gt(0), Le(1)] = 0.8
    """No document goes but for a kept one that is so similar."""
    keep: tuple[str, ...] = ("longest",)
    """Which document of a cluster stays: a preference, or several that break one another's ties (dedup/keep_policy.py)."""
    against: tuple[str, ...] = ()
    """Directories of earlier runs: what is a copy of a document they kept goes too."""
    memory: int = 2_000_000_000
    """What each step of the stage may use in the parent process, libraries included: "2GB"."""
    lines: LineOptions | None = None
    sentences: SentenceOptions | None = None
    ngrams: NgramOptions | None = None
    substrings: SubstringOptions | None = None
    min_words: Annotated[int, Ge(1)] = 1
    """What is left with fewer words after these cuts goes."""
    min_sentences: Annotated[int, Ge(1)] | None = None
    """And with fewer sentences (C4's code: 3)."""

    @property
    def families(self) -> tuple[str, ...]:
        """What is cut out of documents, by key: lines, sentences, ngrams and substrings, those that are on."""
        return tuple(key.name for key in fields(self) if is_dataclass(getattr(self, key.name)))
