"""Personal data that has a form: e-mail addresses, phone numbers, IP addresses; found in one pass over the bytes, and masked.

`pipeline.filters.kernels.pii_patterns` says what counts.

dolma (python/dolma/taggers/pii.py) takes the three kinds by looser patterns, masks up to five and drops the document beyond;
FineWeb (datatrove's PIIFormatter) masks e-mail addresses and public IPv4 addresses. MASKS are dolma's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError, did_you_mean
from pipeline.filters.batch import Batch, FloatArray
from pipeline.filters.kernels.pii_patterns import (
    BEFORE_NUMBER,
    BEFORE_PHONE,
    EMAIL,
    FILES,
    IP,
    KINDS,
    PHONE,
    find,
    replace,
)
from pipeline.filters.options import MaskOptions

MASKS = MaskOptions().placeholders


@dataclass(frozen=True, slots=True)
class Masked:
    """A text with its personal data masked, and how many of each kind were."""

    text: str
    counts: dict[str, int]


def mask(
    text: str,
    kinds: Sequence[str] = KINDS,
    placeholders: Mapping[str, str] | None = None,
    *,
    public_ips_only: bool = False,
) -> Masked:
    """Replace e-mail addresses, phone numbers and IP addresses by placeholders (default: MASKS).

    public_ips_only leaves addresses of private, local and documentation networks alone, as FineWeb does. UserError names
    an unknown kind and those there are.
    """
    texts, counts = mask_texts(pa.array([text]), kinds, placeholders, public_ips_only=public_ips_only)
    return Masked(texts[0].as_py(), {kind: int(values[0]) for kind, values in counts.items()})


def mask_texts(
    array: pa.Array | pa.ChunkedArray,
    kinds: Sequence[str] = KINDS,
    placeholders: Mapping[str, str] | None = None,
    *,
    public_ips_only: bool = False,
) -> tuple[pa.Array, dict[str, npt.NDArray[np.int32]]]:
    """`mask` for documents, a string or large_string array: the texts, and counts a document for each kind."""
    for kind in (*kinds, *(placeholders or {})):
        if kind not in KINDS:
            raise UserError(
                f"{kind}: unknown kind of personal data{did_you_mean(kind, KINDS)}; known: {', '.join(KINDS)}"
            )
    batch = Batch.from_arrow(array)
    found = find_spans(batch, public_ips_only)
    wanted = np.isin(found.kind, [KINDS.index(kind) for kind in kinds])
    found = Spans(found.document[wanted], found.kind[wanted], found.start[wanted], found.end[wanted])
    masks = MASKS | dict(placeholders or {})
    pieces = [masks[kind].encode() for kind in KINDS]
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    growth = sizes[found.kind] - (found.end - found.start)
    lengths = batch.ends - batch.starts + np.bincount(found.document, growth, len(batch)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    buffer = np.empty(int(offsets[-1]), np.uint8)
    replace(batch.data, batch.starts, batch.ends, found, np.frombuffer(b"".join(pieces), np.uint8), bounds, buffer)
    large = pa.types.is_large_string(batch.array.type)
    stored = pa.py_buffer(offsets.astype(np.int64 if large else np.int32))
    texts = pa.Array.from_buffers(batch.array.type, len(batch), [None, stored, pa.py_buffer(buffer)])
    if batch.array.null_count:
        texts = pc.if_else(batch.array.is_null(), pa.scalar(None, texts.type), texts)
    return texts, {kind: count_kind(found, KINDS.index(kind), len(batch)) for kind in kinds}


class Spans(NamedTuple):
    """Where personal data is: byte ranges of a batch's data, in order, none over another."""

    document: npt.NDArray[np.int64]
    kind: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


def find_spans(batch: Batch, public_ips_only: bool = False) -> Spans:
    """All personal data in a batch."""
    room = 64 + len(batch)
    groups = np.empty((10, 3), np.int64)
    while True:
        rows = np.empty((room, 4), np.int64)
        count = find(
            batch.data, batch.starts, batch.ends, public_ips_only, BEFORE_PHONE, BEFORE_NUMBER, FILES, groups, rows
        )
        if count <= room:
            found = rows[:count].T.copy()
            return Spans(*found)
        room = count


def count_kind(found: Spans, kind: int, documents: int) -> npt.NDArray[np.int32]:
    """How many of a kind each document has."""
    return np.bincount(found.document[found.kind == kind], minlength=documents).astype(np.int32)


def pii_emails(docs: Batch) -> FloatArray:
    """E-mail addresses."""
    return count_kind(_spans(docs), EMAIL, len(docs)).astype(np.float64)


def pii_phones(docs: Batch) -> FloatArray:
    """Phone numbers."""
    return count_kind(_spans(docs), PHONE, len(docs)).astype(np.float64)


def pii_ips(docs: Batch) -> FloatArray:
    """IP addresses, private ones too."""
    return count_kind(_spans(docs), IP, len(docs)).astype(np.float64)


def pii_count(docs: Batch) -> FloatArray:
    """E-mail addresses, phone numbers and IP addresses together (dolma drops documents with more than 5)."""
    return np.bincount(_spans(docs).document, minlength=len(docs)).astype(np.float64)


def _spans(docs: Batch) -> Spans:
    """What is found in a batch, once for all signals."""
    if "pii" not in docs.shared:
        docs.shared["pii"] = find_spans(docs)
    found: Spans = docs.shared["pii"]
    return found


SIGNALS = (pii_emails, pii_phones, pii_ips, pii_count)
