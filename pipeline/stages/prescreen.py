"""A check of a page's language before extraction: a page in none of the kept languages need not be extracted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.core.fingerprint import Content
from pipeline.extract.options import ExtractOptions, TextOptions

_SENTENCE = 60
"""Characters from which a line counts as prose rather than a menu entry."""
_PROSE = 200
"""Characters of prose from which the other lines are ignored."""
_SAMPLE = 1000
"""Characters that the language is identified from."""
_PIECES = 4
"""Pieces that the sample is taken in, spread over the text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescreen:
    """The options that decide which pages are not extracted."""

    keep: tuple[str, ...]
    model: Content | None

    @classmethod
    def of(cls, config: Config) -> "Prescreen | None":
        """The options of a config; None if it has no prescreen."""
        if config.extract.prescreen is None or config.language.keep is None:
            return None
        model = config.language.model
        return cls(keep=tuple(sorted(config.language.keep)), model=Content.of(model) if model else None)


def prescreen(options: Prescreen | None, extract: ExtractOptions) -> Callable[[bytes], str | None] | None:
    """A function from a page to the reason not to extract it, or None; None if there is no prescreen.

    The plain text, menus included, comes from the native parser, which is twice as fast as resiliparse's. On 2,521 pages,
    with a run that keeps English at 0.65 and the rules of quickstart.toml (tests/benchmarks/prescreen.py), a bound of 0.01
    drops four in five of the pages that are not English, 6 of the 1,201 that are, and none of the 982 that the run keeps.
    """
    if options is None or extract.prescreen is None:
        return None
    from pipeline.extract.pages.markup import extract_page
    from pipeline.filters.language import LanguageIdentifier

    identifier = LanguageIdentifier(Path(options.model.path) if options.model else None)
    min_probability, keep = extract.prescreen, options.keep
    page_options = TextOptions(main_content=False, max_depth=extract.max_depth)

    def reason(html: bytes) -> str | None:
        text = extract_page(html, page_options).text
        probable = identifier.probable(language_sample(text), min_probability) if text else {}
        if not probable or any(language in probable for language in keep):
            return None  # a page without visible text may have text that only the extractor finds
        label, score = next(iter(probable.items()))
        return f"plain text looks like {label} ({score:.2f})"

    return reason


def language_sample(text: str) -> str:
    """At most 1,000 characters to identify a page's language from, taken from its longer lines if it has any."""
    lines = [line for line in text.split("\n") if len(line) >= _SENTENCE]
    prose = " ".join(lines)
    if len(prose) < _PROSE:
        prose = text
    if len(prose) <= _SAMPLE:
        return prose
    size = _SAMPLE // _PIECES
    step = (len(prose) - size) // (_PIECES - 1)
    return " ".join(prose[n * step : n * step + size] for n in range(_PIECES))


def warm_up(options: Prescreen) -> None:
    """Compile what identifies languages, or load it from the cache."""
    from pipeline.filters.language import LanguageIdentifier

    LanguageIdentifier(Path(options.model.path) if options.model else None).probable("a", 0.5)
