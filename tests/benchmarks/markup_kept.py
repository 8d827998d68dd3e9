"""What survives of formulas, tables and code, in text and in Markdown: python tests/benchmarks/markup_kept.py [--show KIND]

The pages are those of tests/markup_pages.toml; a page survives if all that it says is there, nothing is there that must not be,
and nothing twice; in Markdown also the language of its code. Prints for each kind how many of its pages survive in ours, trafilatura, resiliparse and html2text, each that
is installed. --show prints for each page of the kind what is missing or too much.
"""

import argparse
import logging
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.extract import html_to_text

_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
FILE = Path(__file__).parents[1] / "markup_pages.toml"


def load() -> list[dict[str, Any]]:
    """The pages, each with its whole `html`."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    frame = content["page"]
    return [
        page | {"html": frame.replace("{head}", page.get("head", "")).replace("{body}", page["body"])}
        for page in content["pages"]
    ]


def faults(page: dict[str, Any], text: str, markdown: bool = False) -> list[str]:
    """What is missing in a page's text or Markdown, or too much."""
    lines = text.replace("\\|", "|").splitlines()
    found = [f"missing: {part}" for part in page.get("keep", []) if part not in text]
    found += [f"not a row: {row}" for row in page.get("rows", []) if not any(_is_row(line, row) for line in lines)]
    if "code" in page and not _has_code(lines, page["code"].strip("\n").splitlines()):
        found.append("missing code")
    if markdown:  # the language of code
        fences = [line for line in page.get("markdown", "").splitlines() if line.strip("`") and line.startswith("```")]
        found += [f"missing: {fence}" for fence in fences if fence not in text.replace("``` ", "```")]
    found += [f"{text.count(part)} times: {part}" for part in page.get("once", []) if text.count(part) > 1]
    return found + [f"too much: {part}" for part in page.get("never", []) if part in text]


def _is_row(line: str, cells: list[str]) -> bool:
    at = 0
    for cell in cells:
        at = line.find(cell, at)
        if at < 0:
            return False
        at += len(cell)
    return True


def _has_code(lines: list[str], code: list[str]) -> bool:
    """Whether the lines of code follow one another, all indented by the same amount; blank lines do not count."""
    lines, code = [line.rstrip() for line in lines if line.strip()], [line for line in code if line.strip()]
    for start in range(len(lines) - len(code) + 1):
        if lines[start].endswith(code[0]):
            margin = lines[start][: len(lines[start]) - len(code[0])]
            if not margin.strip() and lines[start : start + len(code)] == [margin + line for line in code]:
                return True
    return False


def systems() -> dict[str, Callable[[str], str]]:
    """Name to extractor."""
    found: dict[str, Callable[[str], str]] = {
        "ours": html_to_text,
        "ours, Markdown": lambda html: html_to_text(html, format="markdown"),
    }
    try:
        import trafilatura

        found["trafilatura"] = lambda html: trafilatura.extract(html) or ""
        found["traf. Markdown"] = lambda html: (
            trafilatura.extract(html, output_format="markdown", include_formatting=True) or ""
        )
    except ImportError:
        pass
    try:
        from resiliparse.extract.html2text import extract_plain_text

        found["resiliparse"] = lambda html: extract_plain_text(html, main_content=True)
    except ImportError:
        pass
    try:
        import html2text

        def by_html2text(html: str) -> str:
            writer = html2text.HTML2Text(bodywidth=0)
            writer.unicode_snob = True
            return str(writer.handle(html))

        found["html2text"] = by_html2text
    except ImportError:
        pass
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--show", metavar="KIND", help="pages of kinds that begin so")
    show = parser.parse_args().show
    logging.disable(logging.CRITICAL)
    every = systems()
    pages, kept = Counter[str](), Counter[tuple[str, str]]()
    for page in load():
        rows = {page["kind"], page["kind"].partition(":")[0], "all"}
        pages.update(rows)
        for name, extract in every.items():
            text, markdown = extract(page["html"]).replace("\xa0", " "), "Markdown" in name or name == "html2text"
            wrong = faults(page, text, markdown)
            if markdown:  # with or without Markdown's backslashes, of which ours has none
                wrong = min(wrong, faults(page, _ESCAPED.sub(r"\1", text), markdown), key=len)
            kept.update((row, name) for row in rows if not wrong)
            if show is not None and page["kind"].startswith(show) and wrong:
                print(f"{page['kind']}, {page['name']}, {name}: {'; '.join(wrong)}")
    print(f"{'':22}{'pages':>7}" + "".join(f"{name:>16}" for name in every))
    for row in sorted(pages):
        print(f"{row:22}{pages[row]:7}" + "".join(f"{kept[row, name]:16}" for name in every))


if __name__ == "__main__":
    main()
