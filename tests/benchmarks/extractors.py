"""Extractors side by side on the sample pages: python tests/benchmarks/extractors.py FOLDS [--save FILE] [--beside FILE]

FOLDS: the folder written by `train_extractor.py --folds`; our texts are by models that saw no page of the same site. One
table: word F1 against gold as the Web Content eXtraction Benchmark scores it, by page type, source and language (fastText's,
of the gold), article-extraction-benchmark also by its own score, and pages a second on one core (CPU time, with charset
decoding). `--save` keeps our texts, and `--beside` adds those kept by another checkout as a column. Then by language:
snippets found of those a text must have, and of those it must not have; agreement with trafilatura on all pages.
"""

import argparse
import json
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trafilatura
from gold import FOLDS, Sample, every_page, flat, four_gram_f1, four_grams, scores, word_f1
from resiliparse.extract.html2text import extract_plain_text

from pipeline.extract.native import trees
from pipeline.extract.native.extract import extract, warm_up
from pipeline.extract.options import TextOptions
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.markup import MAX_TAGS
from pipeline.filters.language import LanguageIdentifier

LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ar", "pl", "el", "nl", "ko", "pt")
TYPES = ("article", "documentation", "service", "forum", "listing", "product", "collection")
ARTICLES = "article-extraction-benchmark"
ENOUGH = 200  # characters of text from which its language can be told, and two extractors' agreement says something


def systems(folder: Path) -> dict[str, Callable[[bytes, Sample], str]]:
    """Name to extractor; each takes the page in UTF-8."""
    models = {fold: trees.load(folder / f"without-{fold}.npz") for fold in range(FOLDS)}

    def by_trafilatura(**options: bool) -> Callable[[bytes, Sample], str]:
        return lambda html, _: trafilatura.extract(html.decode(), include_comments=False, **options) or ""

    return {
        "native": lambda html, page: (
            extract(html, TextOptions(), max_tags=MAX_TAGS, model=models[page.fold]).text or ""
        ),
        "trafilatura": by_trafilatura(),
        "traf. precise": by_trafilatura(favor_precision=True),
        "resiliparse": lambda html, _: extract_plain_text(
            html.decode(), main_content=True, alt_texts=False, links=False
        ),
    }


def extract_all(
    pages: list[Sample], every: dict[str, Callable[[bytes, Sample], str]]
) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Texts of each extractor, and pages a second of CPU time."""
    texts, speeds = {}, {}
    for name, work in every.items():
        began = time.process_time()
        texts[name] = [work(decode(page.body, page.content_type).utf8, page) for page in pages]
        speeds[name] = len(pages) / (time.process_time() - began)
    return texts, speeds


def table(pages: list[Sample], texts: dict[str, list[str]], told: list[str]) -> None:
    """Print F1 by group of pages; `told` are the pages' languages."""
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for number, page in enumerate(pages):
        if page.gold is None:
            continue
        row = [word_f1(texts[name][number], page.gold) for name in texts]
        groups = ["all", page.source, f"in {told[number]}"]
        for group in groups + ([f"wcxb {page.kind}"] if page.source == "wcxb" else []):
            rows[group].append(row)
    order = ["all", "wcxb", *(f"wcxb {kind}" for kind in TYPES)]
    order += sorted(group for group in rows if group not in order and not group.startswith("in "))
    for group in order + [group for language in LANGUAGES if (group := f"in {language}") in rows]:
        if group in rows:
            means = np.mean(rows[group], 0)
            print(f"{group[:30]:30} {len(rows[group]):5}" + "".join(f"{mean:15.3f}" for mean in means))
    chosen = [number for number, page in enumerate(pages) if page.source == ARTICLES and page.gold is not None]
    if chosen:
        found = [
            four_gram_f1([four_grams(mine[number], pages[number].gold or "") for number in chosen])
            for mine in texts.values()
        ]
        print(f"{'the same, its own score':30} {len(chosen):5}" + "".join(f"{mean:15.3f}" for mean in found))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folds", type=Path)
    parser.add_argument("--pages", type=int, help="the first N only")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--beside", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warm_up()
    pages = list(every_page())[: arguments.pages]
    texts, speeds = extract_all(pages, systems(arguments.folds))
    if arguments.save:
        arguments.save.write_text(json.dumps({"texts": texts["native"], "speed": speeds["native"]}))
    if arguments.beside:
        before = json.loads(arguments.beside.read_text())
        texts = {"native before": before["texts"][: len(pages)], **texts}
        speeds = {"native before": before["speed"], **speeds}
    identify = LanguageIdentifier()
    tell = [page.gold or text for page, text in zip(pages, texts["trafilatura"], strict=True)]
    told = [identify.predict([text])[0].label if len(text) >= ENOUGH else "" for text in tell]
    print(f"{'word F1':30} pages" + "".join(f"{name:>15}" for name in texts))
    table(pages, texts, told)
    print(f"{'pages/s, one core':30} {len(pages):5}" + "".join(f"{speed:15.0f}" for speed in speeds.values()))
    by_language(pages, texts, told)


def by_language(pages: list[Sample], texts: dict[str, list[str]], told: list[str]) -> None:
    """Print what each extractor does on each language."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, page in enumerate(pages):
        rows = found[told[number]]
        rows["agreement"].append(scores(texts["native"][number], texts["trafilatura"][number])[2])
        for name in texts:
            text = flat(texts[name][number])
            rows[f"{name} with"] += [flat(snippet) in text for snippet in page.wanted]
            rows[f"{name} without"] += [flat(snippet) in text for snippet in page.unwanted]
    print(f"\nsnippets by language, {' / '.join(texts)}, and how many:")
    print(f"{'language':9}{'with':>40}{'without':>40}   agreement")
    for language in (name for name in LANGUAGES if found[name]):
        rows = found[language]
        cells = []
        for m in ("with", "without"):
            values = [f"{np.mean(rows[key]):.3f}" if rows[key := f"{name} {m}"] else "-" for name in texts]
            cells.append(f"{'/'.join(values) + f' ({len(rows[key])})':>40}")
        print(f"{language:9}{''.join(cells)}   {np.mean(rows['agreement']):.3f} ({len(rows['agreement'])})")


if __name__ == "__main__":
    main()
