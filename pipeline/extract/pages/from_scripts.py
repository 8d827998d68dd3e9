"""When a page's text is taken from its scripts: only if the page itself shows little, and does not say the same."""

from collections.abc import Callable, Collection, Iterable, Iterator

from pipeline.extract.options import TextSource
from pipeline.extract.pages.entries import lacking
from pipeline.extract.pages.json_ld import json_ld
from pipeline.extract.pages.preloaded import discourse, state
from pipeline.extract.pages.scripts import scripts_of

LONG = 200
"""Words of a text that is not short: its page's scripts are not searched."""
MOST_LETTERS = 12 * LONG
"""Characters of such a text, if its words are long."""
BARE, SHOWN = 50, 200
"""A page with fewer words of text, and fewer of any kind, shows nothing of its own. Only to its text are added reviews, the
entries of lists, and a framework's state: on 1,267 gold pages F1 x 1,000 is -1.0 if they are added to all short texts."""
FEWEST = 25
"""Fewest words that are added."""


def from_scripts(
    html: bytes, sources: Collection[TextSource], size: int, shown_size: Callable[[], int], shown: Callable[[], str]
) -> tuple[str, TextSource] | None:
    """What is to be added to a text of `size` words, as markup, and where it is from; None if nothing.

    It is what `shown`, all text of the page, of `shown_size` words, lacks: of each entry's runs of five words, less than half
    are there. It must be longer than the text; of several sources, the longest counts. A state's text, which is chosen by names
    alone, must be twice as long.
    """
    if size >= LONG:
        return None
    bare = size < BARE and shown_size() < SHOWN
    best, fewest = None, max(size + 1, FEWEST)
    for source, times, entries in _sources(html, sources, size, bare):
        found, words = lacking(entries, shown, times * fewest)
        if found:
            best, fewest = ("".join(found), source), words + 1
    return best


def _sources(
    html: bytes, sources: Collection[TextSource], size: int, bare: bool
) -> Iterator[tuple[TextSource, int, Iterable[str]]]:
    """Sources, how many times as long as the others each must be, and their entries."""
    if "json-ld" in sources:
        scripts = list(scripts_of(html, b"application/ld+json"))
        if sum(map(len, scripts)) > 3 * size:  # a word has two letters and a space, an ideograph three bytes
            yield "json-ld", 1, json_ld(scripts, bare)
    if bare and "preloaded" in sources:
        yield "preloaded", 1, discourse(html)
        yield "preloaded", 2, state(html)
