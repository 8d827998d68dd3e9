"""Extractors side by side on the sample pages: python tests/benchmarks/extractors.py FOLDS [--pages N]

FOLDS: the folder written by `train_extractor.py --folds`. Token precision, recall and F1 against gold, by source and page
type; ours by models that saw no page of the same site. Then agreement with trafilatura by language, on pages whose gold
(if any) is left aside, and pages a second on one core (CPU time) with charset decoding.
"""

import argparse
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trafilatura
from gold import FOLDS, Sample, samples, scores
from resiliparse.extract.html2text import extract_plain_text

from pipeline.extract.charset import decode
from pipeline.extract.markup import MAX_DEPTH, MAX_TAGS
from pipeline.extract.native import trees
from pipeline.extract.native.extract import extract, warm_up
from pipeline.filters.language import LanguageIdentifier

LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ar", "pl", "el")
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
            extract(html, main_content=True, max_depth=MAX_DEPTH, max_tags=MAX_TAGS, model=models[page.fold]).text
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
    pages = list(samples())[: arguments.pages]
    every = systems(arguments.folds)
    identify = LanguageIdentifier()
    found: dict[str, dict[str, list[tuple[float, float, float]]]] = defaultdict(lambda: defaultdict(list))
    agreement: dict[str, list[float]] = defaultdict(list)
    seconds = dict.fromkeys(every, 0.0)
    texts: dict[str, list[str]] = {}
    for name, work in every.items():
        began = time.process_time()
        texts[name] = [work(decode(page.body, page.content_type).utf8, page) for page in pages]
        seconds[name] = time.process_time() - began
    for number, page in enumerate(pages):
        for name in every:
            for group in groups(page) if page.gold else ():
                found[group][name].append(scores(texts[name][number], page.gold or ""))
        theirs = texts["trafilatura"][number]
        if len(theirs) >= ENOUGH:
            language = identify.predict([theirs])[0].label
            agreement[language].append(scores(texts["native"][number], theirs)[2])

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
    print("\nF1 of native against trafilatura's text, by language (fastText's), mean and first decile:")
    for language in (name for name in LANGUAGES if agreement[name]):
        values = agreement[language]
        print(f"  {language:4} {len(values):5} pages  {np.mean(values):.3f}  {np.quantile(values, 0.1):.3f}")


if __name__ == "__main__":
    main()
