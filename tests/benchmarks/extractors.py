"""Extractors side by side on the sample pages: python tests/benchmarks/extractors.py FOLDS [--pages N]

FOLDS: the folder written by `train_extractor.py --folds`. Token precision and recall, and F1 as the Web Content eXtraction
Benchmark scores it, against gold, by source and page type; ours by models that saw no page of the same site. Then pages a second on one core (CPU time) with charset decoding.
Then by language (fastText's, of the gold or of trafilatura's text): F1 against gold; snippets found of those a text must
have, and of those it must not have; agreement with trafilatura on all pages.
"""

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trafilatura
from gold import FOLDS, Sample, every_page, flat, scores, word_f1
from resiliparse.extract.html2text import extract_plain_text

from pipeline.extract.native import trees
from pipeline.extract.native.extract import extract, warm_up
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.markup import MAX_TAGS
from pipeline.filters.language import LanguageIdentifier

LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ar", "pl", "el", "nl", "ko", "pt")
COMPARED = ("trafilatura", "traf. precise", "resiliparse", "native")
ENOUGH = 200  # characters of text from which two extractors' agreement says something


def systems(folder: Path) -> dict[str, Callable[[bytes, Sample], str]]:
    """Name to extractor; each takes the page in UTF-8."""
    models = {fold: trees.load(folder / f"without-{fold}.npz") for fold in range(FOLDS)}

    def by_trafilatura(**options: bool) -> Callable[[bytes, Sample], str]:
        return lambda html, _: trafilatura.extract(html.decode(), include_comments=False, **options) or ""

    return {
        "trafilatura": by_trafilatura(),
        "traf. precise": by_trafilatura(favor_precision=True),
        "traf. fast": by_trafilatura(fast=True),
        "resiliparse": lambda html, _: extract_plain_text(
            html.decode(), main_content=True, alt_texts=False, links=False
        ),
        "native": lambda html, page: (
            extract(html, TextOptions(), max_tags=MAX_TAGS, model=models[page.fold]).text or ""
        ),
    }


def groups(page: Sample) -> list[str]:
    """The rows of the table that a page counts in."""
    kinds = [f"wcxb {page.kind}"] if page.source == "wcxb" else []
    articles = page.source == "article-extraction-benchmark" or page.kind == "article"
    return ["all", page.source, *kinds, *(["articles"] if articles else [])]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folds", type=Path)
    parser.add_argument("--pages", type=int, help="the first N only")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warm_up()
    pages = list(every_page())[: arguments.pages]
    every = systems(arguments.folds)
    found: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    seconds = dict.fromkeys(every, 0.0)
    texts: dict[str, list[str]] = {}
    for name, work in every.items():
        began = time.process_time()
        texts[name] = [work(decode(page.body, page.content_type).utf8, page) for page in pages]
        seconds[name] = time.process_time() - began
    for number, page in enumerate(pages):
        for name in every:
            if page.gold is None:
                continue
            precision, recall, _ = scores(texts[name][number], page.gold)
            for group in groups(page):
                found[group][name].append((precision, recall, word_f1(texts[name][number], page.gold)))

    print(f"{'P/R/F1':28}" + "".join(f"{name:>19}" for name in every) + "   native - trafilatura")
    for group in sorted(found, key=lambda group: (group != "all", group != "articles", group)):
        means = {name: np.mean(rows, 0) for name, rows in found[group].items()}
        gain = np.array([a[2] - b[2] for a, b in zip(found[group]["native"], found[group]["trafilatura"], strict=True)])
        error = gain.std(ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else float("nan")
        cells = "".join(
            f"{'/'.join(f'{value:.3f}'[1:] if value < 0.9995 else '1' for value in row):>19}" for row in means.values()
        )
        print(f"{group[:22]:22} {len(gain):5}{cells}   {gain.mean():+.3f} (se {error:.3f})")
    print(f"\n{'pages/s, one core':28}" + "".join(f"{len(pages) / spent:19.0f}" for spent in seconds.values()))
    print(
        f"{'times trafilatura':28}" + "".join(f"{seconds['trafilatura'] / spent:19.1f}" for spent in seconds.values())
    )
    by_language(pages, texts)


def by_language(pages: list[Sample], texts: dict[str, list[str]]) -> None:
    """What each extractor does on each language."""
    identify = LanguageIdentifier()
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, page in enumerate(pages):
        theirs = texts["trafilatura"][number]
        told_by = page.gold or theirs
        if len(told_by) < ENOUGH:
            continue
        rows = found[identify.predict([told_by])[0].label]
        rows["agreement"].append(scores(texts["native"][number], theirs)[2])
        for name in COMPARED:
            text = flat(texts[name][number])
            if page.gold:
                rows[f"{name} F1"].append(scores(text, page.gold)[2])
            rows[f"{name} with"] += [flat(snippet) in text for snippet in page.wanted]
            rows[f"{name} without"] += [flat(snippet) in text for snippet in page.unwanted]
    measures = ("F1", "with", "without")
    print(f"\nby language, {' / '.join(COMPARED)}, and how many pages or snippets:")
    print(f"{'language':9}" + "".join(f"{m:>32}" for m in measures) + "   agreement")
    for language in (name for name in LANGUAGES if found[name]):
        rows = found[language]
        cells = []
        for m in measures:
            values = [f"{np.mean(rows[key]):.3f}" if rows[key := f"{name} {m}"] else "-" for name in COMPARED]
            cells.append(f"{'/'.join(values) + f' ({len(rows[key])})':>32}")
        print(f"{language:9}" + "".join(cells) + f"   {np.mean(rows['agreement']):.3f} ({len(rows['agreement'])})")


if __name__ == "__main__":
    main()
