"""Unchanged pages: records that only say which earlier record has the page (WARC's revisit records)."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from pipeline.core.ledger import row_groups
from pipeline.run.run import Run
from pipeline.stages.extract import EXTRACT

_SECONDS = 19  # characters of a date up to its seconds: revisits often leave out the fractions
_WITH_PAGE = ("response", "resource")

Hashes = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisits:
    """Pages that were unchanged when they were fetched again."""

    total: int
    here: int
    """Of those, how many are in an earlier record of these inputs."""


def find_revisits(run: Run) -> Revisits:
    """Count the revisits of a run in its ledger. In memory: 8 bytes for each revisit, a hash of what it refers to."""
    referred = [np.zeros(0, np.uint64)]
    for group in _groups(run):
        referred.append(_hashes(_reference(value) for value in group["refers_to"] if value))
    hashes = np.concatenate(referred)
    known, counts = np.unique(hashes, return_counts=True)
    found = np.zeros(len(known), bool)
    for group in _groups(run):
        of_group = zip(group["record_type"], group["url"], group["date"], strict=True)
        pages = [(url, date) for kind, url, date in of_group if kind in _WITH_PAGE and url]
        both = _hashes(key for url, date in pages for key in (url, f"{(date or '')[:_SECONDS]} {url}"))
        found |= np.isin(known, both)
    return Revisits(total=len(hashes), here=int(counts[found].sum()))


def _groups(run: Run) -> Iterator[dict[str, list[Any]]]:
    for part in run.done_parts(EXTRACT):
        for group in row_groups(run.file(EXTRACT, part), ["record_type", "url", "date", "refers_to"]):
            yield group.to_pydict()


def _reference(value: str) -> str:
    """The date, if there is one, to the second, and the URL."""
    date, space, url = value.partition(" ")
    return f"{date[:_SECONDS]} {url}" if space else value


def _hashes(keys: Iterator[str]) -> Hashes:
    return np.frombuffer(b"".join(blake2b(key.encode(), digest_size=8).digest() for key in keys), np.uint64)
