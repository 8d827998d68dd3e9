"""What the duplicates stage finds among real pages, against the exact Jaccard similarity of all pairs.

    python tests/benchmarks/duplicates_quality.py [--pages 2500]

The texts: all pages of the web sample, as resiliparse's main content (or whole); for the truth, every pair of different texts is
compared by its shingles (an inverted index counts what each pair shares). For the published parameters and for each way of
verifying: precision and recall over pairs at 0.8, where a pair is found when both ends up in one cluster and one of them is
its kept document; and over documents, where a dropped one was right to go if a kept one is 0.8 similar, and a document
should have gone if one that is kept is.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


from pipeline.filters.dedup.shingles import shingle_hashes  # noqa: E402
from pipeline.filters.dedup.verify import warm_up  # noqa: E402
from pipeline.filters.minhash import VERIFIERS, MinHasher, band_keys, candidate_probability, dedup_documents  # noqa: E402

SAMPLE = ROOT.parent / "shared" / "data" / "web-sample"
THRESHOLD = 0.8
SETTINGS = {
    "FineWeb 14 x 8, 5 words": (14, 8, 5, "words"),
    "RefinedWeb 450 x 20, 5 words": (450, 20, 5, "words"),
    "NeMo 20 x 13, 24 characters": (20, 13, 24, "characters"),
}


def pages(count: int, main_content: bool) -> list[str]:
    """The texts of the sample's pages that have at least 20 words, each once."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    if not SAMPLE.is_dir():
        sys.exit("the web sample is not beside this checkout")
    found: dict[str, None] = {}
    for path in sorted(SAMPLE.glob("sample-0[0-6].warc.gz")):
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response):
            body = record.reader.read()
            text = extract_plain_text(bytes_to_str(body, detect_encoding(body) or "utf-8"), main_content=main_content)
            if len(text.split()) >= 20:
                found[text] = None
    return list(found)[:count]


@njit(nogil=True)
def count_shared(owners, starts, ends, n, shared):  # type: ignore[no-untyped-def]
    """shared[i, j] += 1 for every shingle that documents i < j both have."""
    for k in range(starts.size):
        for a in range(starts[k], ends[k]):
            for b in range(a + 1, ends[k]):
                shared[owners[a], owners[b]] += 1


def all_pairs(texts: list[str], ngram: int, unit: str) -> npt.NDArray[np.float32]:
    """The exact Jaccard similarity (n, n) of all pairs."""
    sets = [np.unique(hashes) for hashes in shingle_hashes(texts, ngram, unit)]
    sizes = np.array([found.size for found in sets])
    owners = np.repeat(np.arange(len(sets), dtype=np.int32), sizes)
    hashes = np.concatenate(sets)
    order = np.argsort(hashes, kind="stable")  # a shingle's owners stay in ascending order
    hashes, owners = hashes[order], owners[order]
    bounds = np.flatnonzero(np.concatenate([[True], hashes[1:] != hashes[:-1], [True]]))
    shared = np.zeros((len(sets), len(sets)), np.int32)
    count_shared(owners, bounds[:-1], bounds[1:], len(sets), shared)
    shared += shared.T
    similarity: npt.NDArray[np.float32] = (shared / np.maximum(1, sizes[:, None] + sizes[None, :] - shared)).astype(
        np.float32
    )
    return similarity


def measure(texts: list[str], truth: npt.NDArray[np.float32], verify: str, setting: tuple[int, int, int, str]) -> None:
    bands, rows, ngram, unit = setting
    dedup_documents(texts[:3], ngram=ngram, bands=bands, rows=rows, unit=unit, verify=verify)
    began = time.process_time()
    found = dedup_documents(texts, ngram=ngram, bands=bands, rows=rows, unit=unit, verify=verify, threshold=THRESHOLD)
    seconds = time.process_time() - began
    n = len(texts)
    kept = np.zeros(n, np.bool_)
    kept[found.kept] = True
    pairs = [(i, j) for i, j, _ in found.pairs]
    right = sum(truth[i, j] >= THRESHOLD for i, j in pairs)
    similar = np.where(np.eye(n, dtype=bool), 0, truth) >= THRESHOLD
    missed = int((similar & kept[:, None] & kept[None, :]).any(axis=1).sum() / 2)  # about one of each such pair
    precision = right / max(1, len(pairs))
    recall = right / max(1, right + missed)
    least = min((float(truth[i, j]) for i, j in pairs), default=1.0)
    print(
        f"  {verify:10} {len(pairs):8,} {right:8,} {precision:10.3f} {missed:8,} {recall:8.3f} {least:8.2f} {seconds:8.2f}"
    )


def candidates(texts: list[str], truth: npt.NDArray[np.float32], setting: tuple[int, int, int, str]) -> None:
    """Pairs that share a band, against the S-curve."""
    bands, rows, ngram, unit = setting
    keys = band_keys(MinHasher(bands * rows, ngram, unit=unit).signatures(texts), bands, rows)
    n = len(texts)
    met = np.zeros((n, n), np.bool_)
    for band in range(bands):
        met |= keys[:, band, None] == keys[None, :, band]
    upper = np.triu(np.ones((n, n), np.bool_), 1)
    similar = upper & (truth >= THRESHOLD)
    proposed = met & upper
    hits = int((proposed & similar).sum())
    print(
        f"  candidates: {int(proposed.sum()):,}, of which {hits:,} of the {int(similar.sum()):,} pairs of 0.8 and more: "
        f"precision {hits / max(1, int(proposed.sum())):.3f}, recall {hits / max(1, int(similar.sum())):.3f}"
    )
    line = []
    for low in (0.5, 0.6, 0.7, 0.8, 0.9):
        inside = upper & (truth >= low) & (truth < low + 0.1)
        expected = float(candidate_probability(truth[inside], bands, rows).mean()) if inside.any() else float("nan")
        line.append(f"{low:.1f}: {met[inside].mean() if inside.any() else float('nan'):.2f} ({expected:.2f})")
    print(f"  share of pairs proposed, by similarity (the S-curve's prediction): {', '.join(line)}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Precision and recall of the duplicates stage on real pages.")
    parser.add_argument("--pages", type=int, default=2_500)
    parser.add_argument(
        "--whole-pages", action="store_true", help="with menus and footers, by which pages resemble one another"
    )
    options = parser.parse_args()
    warm_up()
    texts = pages(options.pages, not options.whole_pages)
    kind_of_text = "whole pages" if options.whole_pages else "main content"
    print(f"{len(texts):,} different texts of {SAMPLE.name} (resiliparse, {kind_of_text}, 20 words and more)")
    truths: dict[Any, npt.NDArray[np.float32]] = {}
    for name, setting in SETTINGS.items():
        kind = setting[2:]
        if kind not in truths:
            truths[kind] = all_pairs(texts, *kind)
        print(f"\n{name}")
        candidates(texts, truths[kind], setting)
        print(
            f"  {'verify':10} {'dropped':>8} {'rightly':>8} {'precision':>10} {'missed':>8} {'recall':>8} {'least J':>8} {'CPU s':>8}"
        )
        for verify in VERIFIERS:
            measure(texts, truths[kind], verify, setting)


if __name__ == "__main__":
    main()
