"""Web archives in, text out. `html_to_text` is the public name; the extractors are imported when it is first used."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.extract.pages.markup import html_to_text

__all__ = ["html_to_text"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    if name == "html_to_text":
        from pipeline.extract.pages.markup import html_to_text

        return html_to_text
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
