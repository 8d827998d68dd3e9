"""Options of a run's config for decontamination. This module is light: it loads neither Numba nor Arrow."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

CUT_OPTIONS = ("window", "min_characters", "max_pieces", "max_documents")
"""Options that need action = "cut"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecontaminateOptions:
    """Documents that contain texts of an evaluation (filters/decontaminate/index.py)."""

    against: tuple[str, ...] = ()
    """Files or globs of .jsonl(.gz, .zst) with one evaluation item per line; empty: no decontamination."""
    fields: Annotated[tuple[str, ...], MinLen(1)] = ("text",)
    """The keys whose values, joined, are an item's text."""
    id: str = "id"
    """The key of an item's name; an item without it is named by its line number."""
    ngram: Annotated[int, Ge(1)] = 13
    """Words per n-gram (GPT-3: 13, Brown et al. 2020, appendix C; PaLM and Llama 3: 8)."""
    threshold: Annotated[float, Gt(0), Le(1)] | None = None
    """Drop a document that contains at least this share of an item's n-grams (PaLM: 0.7); absent: one n-gram (GPT-3)."""
    action: Literal["drop", "flag", "cut"] = "drop"
    """drop: drop the document. flag: keep and report it. cut: cut the n-grams out (GPT-3; filters/decontaminate/cuts.py)."""
    window: Annotated[int, Ge(0)] = 200
    """Characters to cut on either side of an n-gram."""
    min_characters: Annotated[int, Ge(1)] = 200
    """Drop shorter pieces."""
    max_pieces: Annotated[int, Ge(1)] = 10
    """Drop a document that is cut into more pieces."""
    max_documents: Annotated[int, Ge(1)] = 10
    """Ignore n-grams that occur in more documents."""

    def __post_init__(self) -> None:
        if self.action == "cut" and self.threshold is not None:
            raise ValueError('threshold: not with action = "cut", which cuts every common n-gram; leave it out')
        for name in CUT_OPTIONS:
            if self.action != "cut" and getattr(self, name) != self.__dataclass_fields__[name].default:
                raise ValueError(f'{name}: needs action = "cut"; other actions cut nothing')
