"""Personal data with a fixed form: e-mail addresses, phone numbers and IP addresses, found in one pass over the bytes.

`pipeline.filters.kernels.pii_patterns` says what counts.

dolma (python/dolma/taggers/pii.py) finds the three kinds by looser patterns, masks up to five and drops documents with more.
FineWeb (datatrove's PIIFormatter) masks e-mail addresses and public IPv4 addresses. MASKS are dolma's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.arguments import kind_of, not_one, one_text
from pipeline.errors import UserError, did_you_mean
from pipeline.filters.batch import Batch, FloatArray
from pipeline.filters.kernels.arrays import Texts
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
    """A text with its personal data masked, and how many spans of each kind were masked."""

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

    public_ips_only leaves addresses of private, local and documentation networks as they are, as FineWeb does. UserError
    for an unknown kind.
    """
    texts, counts = mask_texts([one_text(text)], kinds, placeholders, public_ips_only=public_ips_only)
    return Masked(texts[0].as_py(), {kind: int(values[0]) for kind, values in counts.items()})


def mask_texts(
    array: Texts,
    kinds: Sequence[str] = KINDS,
    placeholders: Mapping[str, str] | None = None,
    *,
    public_ips_only: bool = False,
) -> tuple[pa.Array, dict[str, npt.NDArray[np.int32]]]:
    """`mask` for documents, a string or large_string array: the texts, and for each kind the counts per document."""
    not_one(kinds, "kinds", "kinds of personal data", "kind")
    if placeholders is not None and not isinstance(placeholders, Mapping):
        raise TypeError(f"placeholders must map kinds to strings, not be {kind_of(placeholders)}")
    for placeholder in (placeholders or {}).values():
        one_text(placeholder, "a placeholder")
    for kind in (*kinds, *(placeholders or {})):
        if kind not in KINDS:
            raise UserError(
                f"{kind}: unknown kind of personal data{did_you_mean(kind, KINDS)}; known: {', '.join(KINDS)}"
            )
    batch = Batch.from_arrow(array)
    spans = find_spans(batch, public_ips_only)
    selected = np.isin(spans.kind, [KINDS.index(kind) for kind in kinds])
    spans = Spans(spans.document[selected], spans.kind[selected], spans.start[selected], spans.end[selected])
    masks = MASKS | dict(placeholders or {})
    pieces = [masks[kind].encode() for kind in KINDS]
    sizes = np.array([len(piece) for piece in pieces], np.int64)
    bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    growth = sizes[spans.kind] - (spans.end - spans.start)
    lengths = batch.ends - batch.starts + np.bincount(spans.document, growth, len(batch)).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    buffer = np.empty(int(offsets[-1]), np.uint8)
    replace(batch.data, batch.starts, batch.ends, spans, np.frombuffer(b"".join(pieces), np.uint8), bounds, buffer)
    large = pa.types.is_large_string(batch.array.type)
    stored = pa.py_buffer(offsets.astype(np.int64 if large else np.int32))
    texts = pa.Array.from_buffers(batch.array.type, len(batch), [None, stored, pa.py_buffer(buffer)])
    if batch.array.null_count:
        texts = pc.if_else(batch.array.is_null(), pa.scalar(None, texts.type), texts)
    return texts, {kind: count_kind(spans, KINDS.index(kind), len(batch)) for kind in kinds}


class Spans(NamedTuple):
    """Spans of personal data: byte ranges of a batch's data, in order, without overlaps."""

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
            fields = rows[:count].T.copy()
            return Spans(*fields)
        room = count


def count_kind(spans: Spans, kind: int, documents: int) -> npt.NDArray[np.int32]:
    """How many spans of a kind each document has."""
    return np.bincount(spans.document[spans.kind == kind], minlength=documents).astype(np.int32)


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
    """The spans of a batch, computed once for all signals."""
    if "pii" not in docs.shared:
        docs.shared["pii"] = find_spans(docs)
    spans: Spans = docs.shared["pii"]
    return spans


SIGNALS = (pii_emails, pii_phones, pii_ips, pii_count)
