"""What a run's config says of texts of evaluations. Light."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

CUT_OPTIONS = ("window", "min_characters", "max_pieces", "max_documents")
"""Those that only action = "cut" has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateOptions:
    """Documents that hold texts of an evaluation (filters/decontaminate/index.py)."""

    against: tuple[str, ...] = ()
    """Files or globs of .jsonl(.gz, .zst), an item a line; without any, nothing is looked for."""
    fields: Annotated[tuple[str, ...], MinLen(1)] = ("text",)
    """The keys whose texts, joined, are an item's."""
    id: str = "id"
    """The key of an item's name; without it in a line the line's number."""
    ngram: Annotated[int, Ge(1)] = 13
    """Words; GPT-3's 13 (Brown et al. 2020, appendix C), PaLM's and Llama 3's 8."""
    threshold: Annotated[float, Gt(0), Le(1)] | None = None
    """The share of an item's n-grams from which on a document goes (PaLM: 0.7); without it one is enough (GPT-3)."""
    action: Literal["drop", "flag", "cut"] = "drop"
    """flag: keep them, and only say so. cut: take the n-grams out, as GPT-3 does (filters/decontaminate/cuts.py)."""
    window: Annotated[int, Ge(0)] = 200
    """Characters cut on either side of an n-gram."""
    min_characters: Annotated[int, Ge(1)] = 200
    """Pieces shorter than this go."""
    max_pieces: Annotated[int, Ge(1)] = 10
    """A document that falls into more goes whole."""
    max_documents: Annotated[int, Ge(1)] = 10
    """An n-gram that more documents hold is let be."""

    def __post_init__(self) -> None:
        if self.action == "cut" and self.threshold is not None:
            raise ValueError("threshold: one n-gram is enough to cut it; leave the threshold out")
        for name in CUT_OPTIONS:
            if self.action != "cut" and getattr(self, name) != self.__dataclass_fields__[name].default:
                raise ValueError(f'{name}: needs action = "cut"; nothing is cut out otherwise')
