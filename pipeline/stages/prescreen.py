"""A look at a page before its text is extracted: what is in no wanted language needs no extractor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.core.step import Content
from pipeline.extract.options import ExtractOptions, TextOptions

_SENTENCE = 60
"""Characters from which a line is prose rather than a menu's entry."""
_PROSE = 200
_LOOKED_AT = 1000
_PIECES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescreen:
    """What decides which pages are not extracted at all."""

    keep: tuple[str, ...]
    model: Content | None

    @classmethod
    def of(cls, config: Config) -> "Prescreen | None":
        """What the config asks for; None where it asks for nothing."""
        if config.extract.prescreen is None or config.language.keep is None:
            return None
        model = config.language.model
        return cls(keep=tuple(sorted(config.language.keep)), model=Content.of(model) if model else None)


def prescreen(options: Prescreen | None, extract: ExtractOptions) -> Callable[[bytes], str | None] | None:
    """The function that says why a page's language is far from the wanted ones, if it is; None where nothing is asked.

    The plain text, menus and all, comes from the native parser, which is twice as fast as resiliparse's. On 2,521 pages,
    where the run keeps what is English at 0.65 and passes quickstart.toml (tests/benchmarks/prescreen.py), 0.01 sorts
    out four in five of the others and none of the 982 kept in the end; of all English ones, 6 in 1,201.
    """
    if options is None or extract.prescreen is None:
        return None
    from pipeline.extract.pages.markup import extract_page
    from pipeline.filters.language import LanguageIdentifier

    identifier = LanguageIdentifier(Path(options.model.path) if options.model else None)
    least, keep = extract.prescreen, options.keep
    page_options = TextOptions(main_content=False, max_depth=extract.max_depth)

    def reason(html: bytes) -> str | None:
        text = extract_page(html, page_options).text
        found = identifier.probable(telling(text), least) if text else {}
        if not found or any(language in found for language in keep):
            return None  # a page without visible text may have some that only the extractor takes
        label, score = next(iter(found.items()))
        return f"plain text looks like {label} ({score:.2f})"

    return reason


def telling(text: str) -> str:
    """Up to 1,000 characters that say which language a page's content is in: from its longer lines, if it has such."""
    lines = [line for line in text.split("\n") if len(line) >= _SENTENCE]
    prose = " ".join(lines)
    if len(prose) < _PROSE:
        prose = text
    if len(prose) <= _LOOKED_AT:
        return prose
    size = _LOOKED_AT // _PIECES
    step = (len(prose) - size) // (_PIECES - 1)
    return " ".join(prose[n * step : n * step + size] for n in range(_PIECES))
