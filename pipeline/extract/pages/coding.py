"""Undoing the encodings that a server applied to a body: Transfer-Encoding, then Content-Encoding.

Headers in archives are often wrong about both, because crawlers store decoded bodies with the original headers. A body that is
not encoded as its header says is therefore used as it is; only one that starts correctly and then breaks is a failure.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import brotli
import zstandard
from isal import isal_zlib

from pipeline.extract.inputs.archive import Headers

_STEP = 1 << 16
_BROKEN = cast(type[Exception], isal_zlib.error)  # the stub calls it an instance
_SIZE_DIGITS = 16  # of a chunk's size, leading zeros included
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True, slots=True)
class Uncoded:
    """A decoded body, or why it could not be decoded: `problem` is "bad_coding" or "too_large", else None.

    `detail` says what was wrong, even if the body could still be used.
    """

    body: bytes
    problem: str | None = None
    detail: str | None = None


def undo(body: bytes, headers: Headers, *, max_bytes: int) -> Uncoded:
    """The body without chunks and compression, of at most `max_bytes` ("too_large" beyond). Never raises."""
    notes = []
    coding = _listed(headers, "transfer-encoding") + _listed(headers, "content-encoding")[::-1]
    if "chunked" in coding:
        body, note = unchunk(body)
        notes += [note] if note else []
    for name in coding:
        if name in ("chunked", "identity", "none", "", "utf-8", "7bit", "8bit", "binary"):
            continue
        inflated, note = _inflate(body, name, max_bytes)
        if note == "too_large":
            return Uncoded(b"", "too_large", f"{name}: more than {max_bytes:,} bytes")
        if inflated is None:
            return Uncoded(b"", "bad_coding", f"{name}: {note}")
        body = inflated
        notes += [f"{name}: {note}"] if note else []
    if len(body) > max_bytes:
        return Uncoded(b"", "too_large", f"{len(body):,} bytes; the limit is {max_bytes:,}")
    return Uncoded(body, None, "; ".join(notes) or None)


def undo_undeclared(body: bytes, *, max_bytes: int) -> Uncoded | None:
    """The body of a page whose compression the headers do not mention, since a recorder took the header away or a server
    compressed twice. None if it is not gzip, zstd, zlib or Brotli, or does not become text.

    Brotli has no first bytes to know it by, so it must decode to its end.
    """
    start = body[:16].lstrip(b"\r\n")[:4]
    name = "gzip" if start[:3] == b"\x1f\x8b\x08" else "zstd" if start == _ZSTD_MAGIC else "br"
    if start[:2] in _ZLIB_STARTS:
        name = "deflate"
    if name == "br" and _is_plain(body):
        return None
    inflated, note = _inflate(body.lstrip(b"\r\n") if name != "br" else body, name, max_bytes)
    if note == "too_large":
        return None if name == "br" else Uncoded(b"", "too_large", f"{name}: more than {max_bytes:,} bytes")
    if not inflated or not _is_plain(inflated) or (name == "br" and note):
        return None
    return Uncoded(inflated, None, f"{name}: not declared" + (f", {note}" if note else ""))


def unchunk(body: bytes) -> tuple[bytes, str | None]:
    """Content of a chunked body, and a note if it was not well-formed.

    A body that does not start with a chunk is returned unchanged; of one that breaks, the chunks before the break are kept.
    Chunk lines end in CRLF. Bare line feeds, of an archive that lost its carriage returns, count only if every chunk is whole:
    the first line of a dechunked text may be a number.
    """
    parts: list[bytes] = []
    at = 0
    bare = b"\r" not in body[: body.find(b"\n", 0, 4096) + 1]
    while True:
        line_end = body.find(b"\n", at, at + 4096)
        size = _chunk_size(body[at:line_end]) if line_end >= 0 else None
        if size is None:
            if not parts or bare:
                return body, None if not body else "declared chunked, but is not"
            # Some servers send the rest of a page without chunks. Without a size it cannot be told from broken chunks.
            return b"".join(parts), f"chunks broken after {at:,} bytes"
        if size == 0:
            return b"".join(parts), None
        data = body[line_end + 1 : line_end + 1 + size]
        follows = body[line_end + 1 + size : line_end + 3 + size]
        if not parts and len(data) == size and follows and follows[:1] not in b"\r\n":
            return body, "declared chunked, but is not"
        if len(data) < size and bare:
            return body, "declared chunked, but is not"
        parts.append(data)
        if len(data) < size:
            return b"".join(parts), "last chunk is truncated"
        at = line_end + 1 + size + (2 if follows == b"\r\n" else 1 if follows[:1] == b"\n" else 0)


def _chunk_size(line: bytes) -> int | None:
    digits = line.split(b";")[0].strip()
    try:
        return int(digits, 16) if digits.isalnum() and len(digits) <= _SIZE_DIGITS else None
    except ValueError:
        return None


def _listed(headers: Headers, name: str) -> list[str]:
    values = ",".join(value for key, value in headers if key == name)
    return [value.strip().strip('"').lower() for value in values.split(",")] if values else []


def _inflate(body: bytes, name: str, max_bytes: int) -> tuple[bytes | None, str | None]:
    """The decompressed body and a note, if any; None, and a note that says why it cannot be decompressed."""
    name = {"x-gzip": "gzip", "gz": "gzip", "x-deflate": "deflate", "brotli": "br", "x-zstd": "zstd"}.get(name, name)
    if not body:
        return body, None
    if name == "gzip":
        if body[:2] != b"\x1f\x8b":
            return body, "declared, but the body is not encoded so"
        return _at_once(body, 31, max_bytes) or _collect(_zlib_pieces(body, 31), max_bytes)
    if name == "deflate":
        wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        if whole := _at_once(body, 15 if wrapped else -15, max_bytes):
            return whole
        inflated, note = _collect(_zlib_pieces(body, 15), max_bytes) if wrapped else (None, None)
        if inflated is None and note != "too_large":
            inflated, note = _collect(_zlib_pieces(body, -15), max_bytes)
    elif name == "br":
        inflated, note = _collect(_brotli_pieces(body), max_bytes)
    elif name == "zstd":
        if body[:4] != _ZSTD_MAGIC:
            return body, "declared, but the body is not encoded so"
        return _collect(_zstd_pieces(body), max_bytes)
    else:
        return (body, "unknown coding") if _is_plain(body) else (None, "unknown coding")
    if inflated is None and note != "too_large" and _is_plain(body):
        return body, "declared, but the body is not encoded so"
    return inflated, note


def _collect(pieces: Iterator[bytes], max_bytes: int) -> tuple[bytes | None, str | None]:
    """All pieces joined. Of broken data the pieces before the break and a note; None and a note if there are none."""
    parts: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                return None, "too_large"
            parts.append(piece)
    except (zlib.error, brotli.error, zstandard.ZstdError, EOFError) as error:
        # Browsers show what arrived before the break, so we keep it.
        return (b"".join(parts), f"broken after {size:,} bytes ({error})") if size else (None, str(error))
    return b"".join(parts), None


def _at_once(body: bytes, wbits: int, max_bytes: int) -> tuple[bytes, None] | None:
    """The same of one whole stream with nothing behind it, as nearly all are, in a third of the time; else None."""
    # what zlib would refuse or check in the header of a gzip stream: other flags, their checksum; of zlib's: a larger window
    if (wbits == 31 and body[3:4] >= b"\x20") or (wbits == 15 and body[0] >> 4 > 7):
        return None
    inflate = isal_zlib.decompressobj(wbits)
    try:
        whole = bytes(inflate.decompress(body, max_bytes + 1))
    except _BROKEN:
        return None
    return (whole, None) if inflate.eof and not inflate.unused_data and len(whole) <= max_bytes else None


def _zlib_pieces(body: bytes, wbits: int) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits)
    while body:
        yield inflate.decompress(body, _STEP)
        while inflate.unconsumed_tail and not inflate.eof:
            yield inflate.decompress(inflate.unconsumed_tail, _STEP)
        if not inflate.eof:
            yield inflate.flush()
            if not inflate.eof:
                raise EOFError("ends early")
        body = inflate.unused_data if wbits == 31 and inflate.unused_data[:2] == b"\x1f\x8b" else b""
        inflate = zlib.decompressobj(wbits)


def _brotli_pieces(body: bytes) -> Iterator[bytes]:
    inflate = brotli.Decompressor()
    yield inflate.process(body, output_buffer_limit=_STEP)
    while not inflate.is_finished():
        if not (piece := inflate.process(b"", output_buffer_limit=_STEP)) and not inflate.is_finished():
            raise EOFError("ends early")
        yield piece


def _zstd_pieces(body: bytes) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body, read_across_frames=True) as reader:
        while piece := reader.read(_STEP):
            yield piece


def _is_plain(body: bytes) -> bool:
    """Whether the start looks like text, which compressed data does not."""
    head = body[:512]
    controls = head.translate(None, bytes(range(32, 256)) + b"\t\n\r\f\x1b")
    return len(controls) * 50 <= len(head) or head.count(0) * 3 > len(head)
