"""How much good text the stop-word lists pass, a language a line: of its own sentences, and of all other languages' the same list.

    python tests/benchmarks/stopwords.py

Reads ../shared/data/langid-dev.jsonl (sentences and blocks of them). A text passes as Gopher's rule has it: two different words of the
list. A sentence may be too short to hold two: so all, and ten at a time, about as long as the shortest pages that Gopher keeps.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.filters.families.stopwords import LISTS
from pipeline.filters.signals import measure

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "langid-dev.jsonl"
SAME = {"nb": "no"}


def main() -> None:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").rstrip("\n").split("\n")]
    by_language: dict[str, list[str]] = {}
    for row in rows:
        by_language.setdefault(SAME.get(row["lang"], row["lang"]), []).append(row["text"])
    blocks, owners = [], []
    for label, texts in by_language.items():
        for start in range(0, len(texts) - 9, 10):
            blocks.append("\n".join(texts[start : start + 10]))
            owners.append(label)
    owner, array = np.array(owners, object), pa.array(blocks)
    passed = [0, 0, 0, 0]
    print(
        f"{'language':<10}{'texts':>7}{'pass %':>8}{'tens':>7}{'pass %':>8}{'words a word':>14}{'tens of others pass %':>24}"
    )
    for label in sorted(LISTS):
        one = distinct(pa.array(by_language[label]), label)[0]
        many, share = distinct(array, label)
        mine = owner == label
        passed = [sum(pair) for pair in zip(passed, (one.sum(), len(one), many[mine].sum(), mine.sum()), strict=True)]
        print(
            f"{label:<10}{len(one):>7}{100 * one.mean():>8.1f}{mine.sum():>7}{100 * many[mine].mean():>8.1f}"
            f"{share[mine].mean():>14.3f}{100 * many[~mine].mean():>24.1f}"
        )
    print(
        f"{'all':<10}{passed[1]:>7}{100 * passed[0] / passed[1]:>8.1f}{passed[3]:>7}{100 * passed[2] / passed[3]:>8.1f}"
    )
    missing = by_language.keys() - LISTS.keys() - {"und"}
    print(f"{len(missing)} labels without a list: {', '.join(sorted(missing)[:20])}, ...")


def distinct(texts: pa.Array, label: str) -> tuple[Any, Any]:
    """Which texts pass as texts of a language, and their share of its words."""
    found = measure(texts, ["stopwords_distinct", "stopwords_ratio"], pa.array([label] * len(texts)))
    return found["stopwords_distinct"].to_numpy() >= 2, found["stopwords_ratio"].to_numpy()


if __name__ == "__main__":
    main()
