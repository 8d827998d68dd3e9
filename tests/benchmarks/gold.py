"""The sample web pages with their gold texts, which page is of which site, and the scores of a text against its gold."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from statistics import fmean
from typing import Any
from urllib.parse import urlsplit

from pipeline.extract.inputs.archive import read_records
from pipeline.extract.pages.coding import undo

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SAMPLE = DATA / "web-sample"
WCXB = DATA / "wcxb"
"""More pages of the Web Content eXtraction Benchmark's development split, with gold; some lie in the sample too."""
FOLDS = 5
LIMIT = 10_000_000
PARTIAL = {"goose3"}
"""Sources whose gold is the beginning of the text only: not scored, not trained on."""

_SECOND_LEVEL = {"ac", "co", "com", "edu", "gob", "gov", "gouv", "gv", "ne", "net", "nom", "or", "org"}
_IDEOGRAPH = "\u3041-\u30ff\u3400-\u9fff"
_TOKEN = re.compile(f"[{_IDEOGRAPH}]|[^\\W{_IDEOGRAPH}]+")


@dataclass(frozen=True, slots=True)
class Sample:
    """One page; `gold` is its main content by hand, `wanted` and `unwanted` are snippets, where there are any."""

    body: bytes
    content_type: str | None
    source: str
    kind: str
    language: str | None
    fold: int
    gold: str | None
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]


def site(url: str) -> str:
    """The registered domain, near enough: two labels, or three where the second is co, com, org ... of a country."""
    labels = (urlsplit(url).hostname or "").split(".")
    return ".".join(
        labels[-3:] if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2 else labels[-2:]
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fold(url: str) -> int:
    """The fold of a page: pages of one site are in one fold."""
    return int.from_bytes(blake2b(site(url).encode(), digest_size=8).digest(), "big") % FOLDS


def wcxb() -> Iterator[Sample]:
    """Every page of `WCXB`, in order."""
    for row in _rows(WCXB / "gold.jsonl"):
        body = gzip.decompress((WCXB / "html" / f"{row['id']}.html.gz").read_bytes())
        yield Sample(
            body,
            None,
            "wcxb",
            row["page_type"],
            None,
            fold(row["url"]),
            row["main_content"],
            tuple(row["with"] or ()),
            tuple(row["without"] or ()),
        )


def samples() -> Iterator[Sample]:
    """Every page of the sample, in order."""
    gold = {(row["source"], row["id"]): row for row in _rows(SAMPLE / "gold.jsonl") if row["source"] not in PARTIAL}
    index = _rows(SAMPLE / "index.jsonl")
    for file in sorted({row["file"] for row in index}):
        records = (r for r in read_records(SAMPLE / file, max_record_bytes=LIMIT) if r.record_type == "response")
        for row, record in zip((row for row in index if row["file"] == file), records, strict=True):
            assert row["url"] == record.url
            known = gold.get((row["source"], row["id"]), {})
            yield Sample(
                undo(record.body, record.http_headers, max_bytes=LIMIT).body,
                record.content_type,
                row["source"],
                row["page_type"] or "",
                row["lang"],
                fold(row["url"]),
                known.get("gold_text"),
                tuple(known.get("with") or ()),
                tuple(known.get("without") or ()),
            )


def every_page() -> Iterator[Sample]:
    """The pages of `wcxb` and of `samples`; a page that lies in both comes once, with the gold of `wcxb`."""
    more = list(wcxb())
    known = {sample.body for sample in more}
    yield from more
    yield from (sample for sample in samples() if sample.body not in known)


def tokens(text: str) -> list[str]:
    """Words in small letters, and each ideograph by itself."""
    return _TOKEN.findall(text.lower())


def flat(text: str) -> str:
    """The text with its white space made one, for a search."""
    return " ".join(text.split())


def scores(text: str, gold: str) -> tuple[float, float, float]:
    """Precision, recall and F1 over the tokens as bags."""
    found, wanted = Counter(tokens(text)), Counter(tokens(gold))
    both = sum((found & wanted).values())
    if not both:
        return 0.0, 0.0, 0.0
    precision, recall = both / sum(found.values()), both / sum(wanted.values())
    return precision, recall, 2 * precision * recall / (precision + recall)


def word_f1(text: str, gold: str) -> float:
    """F1 over lower-cased words as bags, as the Web Content eXtraction Benchmark scores it: an empty gold wants no text."""
    found, wanted = (Counter(re.findall(r"\w+", t.lower())) for t in (text, gold))
    if not wanted or not found:
        return float(not wanted and not found)
    return 2 * sum((found & wanted).values()) / (sum(found.values()) + sum(wanted.values()))


def four_grams(text: str, gold: str) -> tuple[float, float]:
    """Precision and recall over runs of four words as bags, as article-extraction-benchmark scores a page; not a number where
    there is none."""
    found, wanted = (
        Counter(tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3)) if words)
        for words in (re.findall(r"\w+", t) for t in (text, gold))
    )
    both = (found & wanted).total()
    return both / found.total() if found else float("nan"), both / wanted.total() if wanted else float("nan")


def four_gram_f1(pages: list[tuple[float, float]]) -> float:
    """F1 of the mean precision and the mean recall."""
    precision, recall = (fmean(x for x in column if x == x) for column in zip(*pages, strict=True))
    return 2 * precision * recall / (precision + recall)
