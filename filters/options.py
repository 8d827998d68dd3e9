"""What a run's config says of URLs, languages, edits, scores and masks: frozen values, each with its defaults, once.

`pipeline.config` is the tree that they stand in; the modules beside this one take them. This module is light: it loads neither
Numba nor Arrow. Values that contradict one another raise ValueError, in one line that begins with the key.
"""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Literal

from annotated_types import Ge, Le

Normalization = Literal["whitespace", "lowercase", "words"]
"""What is done to a text before a model sees it (filters/kernels/normalize.py)."""


TAKEN = (
    *("id", "url", "date", "title", "published", "text", "language", "language_score", "cluster", "cluster_size"),
    *("file", "offset", "length", "row", "cuts", "similarity", "dropped"),
    *("contamination", "contamination_ngrams", "contaminated_by"),
)
"""Columns of a run's files beside signals and scores, which have no such names, …"""
TAKEN_PREFIXES = ("edited_", "masked_")
"""… nor names that begin so."""


def is_taken(name: str) -> bool:
    """Whether a column that is no signal and no score may be called so."""
    return name in TAKEN or name.startswith(TAKEN_PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOptions:
    """Pages dropped for their URL: by rules before they are extracted (RefinedWeb, appendix G.1), repeated ones after."""

    blocklists: tuple[str, ...] = ()
    """Files of domains and URLs, a line each, or directories in UT1's layout."""
    hard_words: str | None = None
    """A file of words, a line each: one of them in a URL is enough."""
    soft_words: str | None = None
    """A file of words of which two different ones must meet."""
    substrings: str | None = None
    """A file of strings that may not occur at all, within words neither."""
    curated: tuple[str, ...] = ()
    """Domains of sources that are added in a better form (RefinedWeb: Wikipedia, arXiv, GitHub, ...)."""
    duplicates: Literal["first", "latest"] | None = None
    """Of the pages with text that have one URL (as RFC 3986 normalizes it), keep this one; without it all."""

    @property
    def rules(self) -> bool:
        """Whether there is a rule to apply before extraction."""
        return replace(self, duplicates=None) != UrlOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOptions:
    """Language identification (fastText)."""

    model: str | None = None
    """A fastText model file; without it lid.176.ftz (Joulin et al. 2016), which an installed wheel carries."""
    keep: tuple[str, ...] | None = None
    """Language codes to keep; without it every language is kept."""
    min_score: Annotated[float, Ge(0), Le(1)] = 0.0
    """FineWeb and RefinedWeb keep pages at 0.65 and over."""
    characters: Annotated[int, Ge(1)] = 2000
    """How much of the text is looked at; the first 2,000 characters decide as the whole text does (99.9 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """What is measured beside the signals that always are."""

    families: tuple[str, ...] = ()
    """Families of signals to measure though no rule names one: other implementations' numbers, for analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """What an edit takes out, line by line (pipeline.filters.edits). A rule that is None, False or empty is off.

    A line that breaks several rules is counted under the first of them, in the order in which they stand here; "citations"
    and "boilerplate" also count what goes out of a line. ValueError for marks and phrases that cannot be looked for.
    """

    max_word_characters: Annotated[int, Ge(1)] | None = None
    """Lines with a longer word (C4's code: 1,000)."""
    citations: bool = False
    """Wikipedia's [1], [], [edit] and [citation needed], out of every line (C4's code)."""
    blank_lines: bool = False
    """White space around lines, and blank lines (C4's code keeps neither)."""
    end_marks: tuple[str, ...] = ()
    """Lines that end with none of these characters, or with "..." (C4: . ! ? and the quotation mark)."""
    min_line_words: Annotated[int, Ge(1)] | None = None
    """Lines of fewer words (C4: 5, its first arXiv version 3; RefinedWeb: 2)."""
    phrases: tuple[str, ...] = ()
    """Lines that hold one of these, in any case; ASCII (C4: "javascript"; its code: cookie and privacy notices too)."""
    max_uppercase_ratio: Annotated[float, Ge(0), Le(1)] | None = None
    """Lines of whose characters a larger share is in upper case (RefinedWeb "mainly"; 0.5 in DCLM's code)."""
    numeric_lines: bool = False
    """Lines of digits alone (RefinedWeb)."""
    counter_lines: bool = False
    """Lines such as "3 likes" or "1.2K followers" (RefinedWeb; the words are DCLM's)."""
    boilerplate: bool = False
    """"sign-in" at the start, "read more..." at the end, "items in cart" in lines of up to 10 words (RefinedWeb)."""

    def __post_init__(self) -> None:
        for mark in self.end_marks:
            if len(mark) != 1:
                raise ValueError(f"end_marks: single characters are needed, not {mark!r}")
        for phrase in self.phrases:
            if not phrase or not phrase.isascii():
                raise ValueError(f"phrases: plain ASCII text is needed, not {phrase!r}")

    @property
    def reasons(self) -> tuple[str, ...]:
        """The rules that are on, in their order."""
        return tuple(rule.name for rule in fields(LineRules) if getattr(self, rule.name) not in (None, False, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class EditOptions(LineRules):
    """What goes out of a text, line by line, before the rules of [edited] judge what is left (pipeline.filters.edits)."""

    functions: tuple[str, ...] = ()
    """Edits that plugins define, by name, in the order in which they are applied, after the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """A signal that comes from a model file: [scores.NAME], and NAME in [quality]. Of the text as edits leave it."""

    kind: Literal["fasttext", "perplexity", "divergence", "words", "sklearn"]
    """fasttext: the probability of a label. perplexity: of a model of n-grams. divergence: of the
    distribution of its words from that of a model of order 1 (Llama 3). words: how many listed ones there are.
    sklearn: the probability of a class, of a model that skops has saved."""
    model: str
    """The model file, or the list, or a directory of lists by language."""
    label: str | None = None
    """Of a classifier of others; one of ours says it itself."""
    normalization: Normalization | None = None
    """What was done to its texts (filters/kernels/normalize.py), where the model does not say so itself."""
    share: bool = False
    """Of listed words: divided by the words of the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """Personal data that is masked in the clean text (pipeline.filters.pii)."""

    kinds: tuple[Literal["email", "phone", "ip"], ...] = ()
    """What is masked; without any, nothing."""
    email: str = "|||EMAIL_ADDRESS|||"
    """What stands in place of an e-mail address (dolma's)."""
    phone: str = "|||PHONE_NUMBER|||"
    """The same of a phone number."""
    ip: str = "|||IP_ADDRESS|||"
    """The same of an IP address."""
    public_ips_only: bool = False
    """Leave addresses of private networks alone (FineWeb)."""

    @property
    def placeholders(self) -> dict[str, str]:
        """What stands for each kind."""
        return {"email": self.email, "phone": self.phone, "ip": self.ip}
