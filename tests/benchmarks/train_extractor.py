"""Train the native extractor's model: python tests/benchmarks/train_extractor.py [--write] [--folds FOLDER]

Labels come from aligning the tokens of a page's blocks with those of its gold text; pages without gold get trafilatura's
output as a second-rate gold of less weight. Prints the F1 of cross-validation by site: no page is scored by a model that
saw its site. `--write` replaces the model in the package by one trained on all of it; `--folds` keeps the models of the
folds, for tests/benchmarks/extractors.py. Needs lightgbm and the sample pages beside this checkout. A few minutes.
"""

import argparse
import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import trafilatura
from gold import FOLDS, Sample, every_page, tokens, word_f1
from numba import njit
from numpy.typing import NDArray

from pipeline.extract.native import MODEL_FILE, trees
from pipeline.extract.native.extract import read
from pipeline.extract.native.features import describe
from pipeline.extract.native.rows import DEPTH
from pipeline.extract.native.trees import Forest, Model
from pipeline.extract.native.unseen import MAIN, without_unseen
from pipeline.extract.native.words import CHARS
from pipeline.extract.options import MAX_DEPTH
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.markup import MAX_TAGS

SILVER_WEIGHT, SILVER_SHARE = 0.15, 0.25
"""What a page without gold counts beside one with it, and the share of its blocks that are trained on."""
ROUNDS = {"alone": 96, "together": 96}
THRESHOLD = 0.5
"""Cross-validated F1 over all gold is 0.885, 0.886 and 0.887 with 0.45, 0.5 and 0.55; documentation loses 0.002 each time."""
OPTIONS = {
    "objective": "binary", "learning_rate": 0.1, "max_depth": DEPTH, "num_leaves": 2**DEPTH, "max_bin": 63,
    "min_data_in_leaf": 40, "min_sum_hessian_in_leaf": 2.0, "feature_fraction": 0.4, "bagging_fraction": 0.8,
    "bagging_freq": 1, "lambda_l2": 5.0, "seed": 1, "deterministic": True, "force_col_wise": True, "num_threads": 1,
    "verbosity": -1,
}  # fmt: skip
CELLS = 150_000_000  # of an alignment; longer pages (a handful) are labelled by their runs of five tokens


@dataclass(slots=True)
class Page:
    """A parsed page: its table of features, its blocks' texts, labels (share of gold tokens) and weights."""

    sample: Sample
    table: NDArray[np.float32]
    around: NDArray[np.int32]
    sizes: NDArray[np.float32]
    texts: list[str]
    label: NDArray[np.float32]
    weight: NDArray[np.float32]


@njit
def align(a: NDArray[np.int32], b: NDArray[np.int32]) -> NDArray[np.int32]:
    """For each token of `a` its partner in `b` or -1: the common subsequence that is longest, runs counting three times."""
    n, m = len(a), len(b)
    back = np.zeros((n + 1, m + 1), np.uint8)
    best, run = np.zeros(m + 1, np.int32), np.full(m + 1, -1, np.int32)
    for i in range(1, n + 1):
        best_before, run_before = best[0], run[0]
        for j in range(1, m + 1):
            up, up_run = best[j], run[j]
            how, here = 0, np.int32(-1)
            if a[i - 1] == b[j - 1]:
                here = best_before + 1
                if run_before >= 0 and run_before + 3 > here:
                    here = run_before + 3
                    how = 4
            value = max(up, best[j - 1])
            if here >= value:
                value = here
                how |= 1
            elif best[j - 1] > up:
                how |= 2
            back[i, j] = how
            best_before, run_before = up, up_run
            best[j], run[j] = value, here
    found = np.full(n, -1, np.int32)
    i, j, in_run = n, m, False
    while i > 0 and j > 0:
        how = back[i, j]
        if in_run or how & 1:
            found[i - 1] = j - 1
            in_run = how & 4 != 0
            i, j = i - 1, j - 1
        elif how & 2:
            j -= 1
        else:
            i -= 1
    return found


def labels(texts: list[str], gold: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each block the share of its tokens that are in the gold, and how many it has."""
    words = [tokens(text) for text in texts]
    count = np.array([len(w) for w in words], np.float32)
    wanted = tokens(gold)
    numbers: dict[str, int] = {}
    b = np.array([numbers.setdefault(word, len(numbers)) for word in wanted], np.int32)
    a = np.array([numbers.get(word, -1) for block in words for word in block], np.int32)
    if len(a) * len(b) > CELLS:
        grams = {tuple(wanted[i : i + 5]) for i in range(len(wanted))} | {tuple(wanted[-k:]) for k in range(1, 5)}
        part = [np.mean([tuple(w[i : i + 5]) in grams for i in range(max(1, len(w) - 4))]) for w in words]
        return np.array(part, np.float32), count
    partner = align(a, b)
    share = np.zeros(len(words), np.float32)
    at = 0
    for block, w in enumerate(words):
        mine = partner[at : at + len(w)]
        at += len(w)
        # A word that happens to stand in the gold is no content: runs of three, or the whole of a short block.
        good = start = 0
        for i in range(1, len(mine) + 1):
            if i == len(mine) or mine[i] < 0 or mine[i] != mine[i - 1] + 1:
                if mine[start] >= 0 and i - start >= min(3, len(mine)):
                    good += i - start
                start = i
        share[block] = good / max(1, len(w))
    return share, count


def prepare(sample: Sample) -> Page | None:
    html = decode(sample.body, sample.content_type).utf8
    shown, parsed = read(html, MAX_DEPTH, MAX_TAGS, False)
    parsed = without_unseen(parsed, MAIN, False)
    if parsed.status or not len(parsed.home):
        return None
    table, around = describe(parsed, shown[slice(*parsed.title)])
    out = parsed.out[: parsed.stop[-1]].tobytes()
    texts = [out[a:b].decode() for a, b in zip(parsed.start, parsed.stop, strict=True)]
    target = sample.gold if sample.gold is not None else trafilatura.extract(html.decode(), include_comments=False)
    if sample.gold is None and not target:
        return None
    share, count = labels(texts, target or "")
    # Every page counts the same, and in it a block by its tokens, less than proportionally: F1 is a mean over pages.
    weight = (count + 2) ** np.float32(0.7)
    weight *= 100 / weight.sum()
    sizes = np.ascontiguousarray(parsed.stats[:, CHARS])
    if sample.gold is None:
        chosen = np.random.default_rng(int(sizes.sum())).random(len(weight)) < SILVER_SHARE
        weight *= chosen * np.float32(SILVER_WEIGHT / SILVER_SHARE)
    return Page(sample, table, around, sizes, texts, share, weight)


def fit(pages: list[Page], tables: list[NDArray[np.float32]], rounds: int) -> Forest:
    x = np.concatenate([table[page.weight > 0] for page, table in zip(pages, tables, strict=True)])
    y = np.concatenate([page.label[page.weight > 0] >= 0.5 for page in pages])
    w = np.concatenate([page.weight[page.weight > 0] for page in pages])
    data = lightgbm.Dataset(x, y.astype(np.float32), weight=w / w.mean(), free_raw_data=True)
    return flatten(lightgbm.train(OPTIONS, data, rounds))


def flatten(booster: Any) -> Forest:
    """LightGBM's trees as complete trees; thresholds rounded down to float32, so that no row changes sides."""
    dumped = booster.dump_model()["tree_info"]
    inner = 2**DEPTH - 1
    feature = np.zeros((len(dumped), inner), np.uint16)
    threshold = np.full((len(dumped), inner), np.inf, np.float32)
    leaf = np.zeros((len(dumped), inner + 1), np.float32)
    for number, tree in enumerate(dumped):
        waiting = [(0, tree["tree_structure"])]
        while waiting:
            at, node = waiting.pop()
            if at >= inner:
                leaf[number, at - inner] = node["leaf_value"]
            elif "split_feature" in node:
                value = np.float32(node["threshold"])
                feature[number, at] = node["split_feature"]
                threshold[number, at] = (
                    value if value <= node["threshold"] else np.nextafter(value, np.float32(-np.inf))
                )
                waiting += [(2 * at + 1, node["left_child"]), (2 * at + 2, node["right_child"])]
            else:
                waiting += [(2 * at + 1, node), (2 * at + 2, node)]
    return Forest(feature, threshold, leaf)


def contexts(pages: list[Page], alone: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    found = [page.table.copy() for page in pages]
    for page, verdict, table in zip(pages, alone, found, strict=True):
        trees.context(verdict, page.sizes, page.around, table)
    return found


def train(pages: list[Page]) -> dict[int, Model]:
    """Models by the fold they have not seen; -1 has seen all. The second round learns from verdicts on unseen sites."""
    fold = [page.sample.fold for page in pages]
    everything = set(range(FOLDS))

    def subset(folds: set[int]) -> list[Page]:
        return [page for page in pages if page.sample.fold in folds]

    first: dict[frozenset[int], Forest] = {}

    def alone(folds: set[int]) -> Forest:
        key = frozenset(folds)
        if key not in first:
            chosen = subset(folds)
            first[key] = fit(chosen, [page.table for page in chosen], ROUNDS["alone"])
        return first[key]

    models = {}
    for held in (-1, *range(FOLDS)):
        seen = everything - {held}
        chosen = [page for page, f in zip(pages, fold, strict=True) if f in seen]
        verdicts = [trees.score(page.table, alone(seen - {page.sample.fold}), True) for page in chosen]
        together = fit(chosen, contexts(chosen, verdicts), ROUNDS["together"])
        models[held] = Model(alone(seen), together, THRESHOLD)
        print(f"trained without fold {held}", flush=True)
    return models


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--folds", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pages = [page for sample in every_page() if (page := prepare(sample)) is not None]
    models = train(pages)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for page in pages:
        sample = page.sample
        if sample.gold is None:
            continue
        model = models[sample.fold]
        alone = trees.score(page.table, model.alone, True)
        both = trees.score(contexts([page], [alone])[0], model.together, True)
        kept = both >= trees.cut(both, model.threshold)
        texts = [
            "\n".join(t for t, k in zip(page.texts, keep, strict=True) if k)
            for keep in (alone >= 0.5, kept, page.label >= 0.5)
        ]
        row = [word_f1(text, sample.gold) for text in texts]
        for group in ("all", sample.source, *([f"wcxb {sample.kind}"] if sample.source == "wcxb" else [])):
            rows[group].append(row)
    print("F1 by site-wise cross-validation: the first round, both, and the best choice of blocks")
    for group, found in sorted(rows.items()):
        print(f"{group:30} {len(found):5}" + "".join(f" {value:.3f}" for value in np.mean(found, 0)))
    if arguments.folds:
        arguments.folds.mkdir(parents=True, exist_ok=True)
        for held, model in models.items():
            trees.save(arguments.folds / f"without-{held}.npz", model)
    if arguments.write:
        trees.save(MODEL_FILE, models[-1])
        print(f"{MODEL_FILE}: {MODEL_FILE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
