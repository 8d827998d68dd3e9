"""Files that are not read as input: what they are, told by their names and first bytes, and what to do with them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import is_archive
from pipeline.extract.inputs.compressed import BROKEN, COMPRESSIONS, compression_of, open_decompressed
from pipeline.extract.inputs.files import is_remote, name_of, open_file
from pipeline.extract.inputs.forms import GROUPS, KNOWN, Form, chosen, form_by_suffix
from pipeline.extract.inputs.lz4 import LZ4_MAGIC
from pipeline.extract.inputs.stream import GZIP_MAGIC, File, Gzip
from pipeline.extract.inputs.zstd import DICTIONARY_MAGIC

_OPENING = 4096  # bytes that a file's kind is told from

_COMPRESSED = (
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\0", ".xz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (LZ4_MAGIC, ".lz4"),
    (GZIP_MAGIC, ".gz"),
)

_ARRAY = re.compile(rb"\[\s*[{\"\]]")  # unlike a table of TOML

_UNPACK = "unpack it and give the files inside"
_TO_LINES = 'put each document on a line of a .jsonl file, as {"text": ...}'
_TO_PARQUET = "convert it to Parquet, for example with DuckDB: copy (from 'FILE') to 'FILE.parquet'"
_EXTRACT_FIRST = f"take the text out with another tool, then {_TO_LINES}"

_JSON_ARRAY = "a JSON array, not JSON Lines"
_HTML = "HTML; rename it to end in .html"
_PROGRAMS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
_SPACE = b"\xef\xbb\xbf \t\r\n"

_BY_SUFFIX: dict[tuple[str, ...], str] = {
    (".wat", ".wat.gz"): "WAT, metadata without pages; give the .warc or .wet file of the same name",
    (
        ".zip",
        ".tar",
        ".tgz",
        ".tar.gz",
        ".tar.bz2",
        ".tar.xz",
        ".tar.zst",
        ".tar.lz4",
        ".7z",
        ".rar",
    ): f"a packed folder; {_UNPACK}",
    (".mht", ".mhtml"): "a page in a mail's format; save it as HTML",
    (".rst", ".log", ".tex"): "text of a kind that is not read; rename it to end in .txt if it is plain text",
    (".xlsx", ".xls", ".ods"): "a spreadsheet; save it as CSV, in UTF-8",
    (
        ".arrow",
        ".feather",
        ".ipc",
    ): "Arrow; give the folder that `datasets` saved as input.dataset, or convert it to Parquet",
    (".pdf", ".doc", ".docx", ".odt", ".epub", ".ps", ".djvu"): f"a document of another format; {_EXTRACT_FIRST}",
    (".xml", ".xml.gz", ".xml.bz2"): f"XML; {_EXTRACT_FIRST}",
    (".cdx", ".cdx.gz", ".cdxj", ".cdxj.gz", ".idx"): "an index of archives; give the archives that it names",
    (
        ".bz2",
        ".xz",
        ".zst",
        ".lz4",
        ".lzma",
        ".br",
    ): "compressed, and not as a kind of file that is read; decompress it first",
    (".toml",): "a config file; give it to python -m pipeline run",
}
"""Suffixes -> what such a file is, and what to do with it. A longer suffix goes first."""

_BY_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", f"a zip file; {_UNPACK}"),
    (b"PAR1", "Parquet; rename it to end in .parquet"),
    (b"%PDF", f"PDF; {_EXTRACT_FIRST}"),
    (b"7z\xbc\xaf\x27\x1c", f"a 7z file; {_UNPACK}"),
    (b"Rar!", f"a rar file; {_UNPACK}"),
    (b"ARROW1", "Arrow; convert it to Parquet"),
    (b"SQLite format 3", f"a database; {_TO_PARQUET}"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
)


def check_kinds(files: Sequence[str]) -> None:
    """UserError for the first of these files, named one by one or by globs, that is not of a kind that is read."""
    wrong = [(file, reason) for file in files if (reason := why_not_read(file))]
    if wrong:
        file, reason = wrong[0]
        more = f"; {len(wrong) - 1:,} more of these files are not read, {wrong[1][0]} next" if len(wrong) > 1 else ""
        raise UserError(f"{file}: is {reason}{more}")


def why_not_read(path: str) -> str | None:
    """What a file is that is not read, and what to do with it, as the end of a sentence; None for a file that is read.

    The first bytes decide where they are telling, else the name. Of a remote file only the name is looked at. An archive
    may have any name. A file with the name of an archive is read if its first bytes are not telling, so that damage is counted.
    """
    reason = _reason(path)
    return reason and reason.replace("FILE", Path(path).name)


def _reason(path: str) -> str | None:
    name = name_of(path)
    by_suffix = next((text for suffixes, text in _by_length() if name.endswith(suffixes)), None)
    form = form_by_suffix(path)
    if is_remote(path):
        return None if form else by_suffix
    first, compressed = _opening(path)
    if name.endswith((".wat", ".wat.gz")):
        return by_suffix
    if form not in (None, "archive"):
        return _otherwise(name, form, first, compressed)
    archived = name.endswith(".warc.zst") and (compressed or first.startswith(DICTIONARY_MAGIC))
    if name.endswith(".wacz") or archived or (name.endswith(".warc.lz4") and compressed):
        return None  # what is wrong inside is told where it is read
    if compressed not in ("", ".gz"):
        return by_suffix or f"compressed; rename it to end in what it is, such as .jsonl{compressed}"
    if is_archive(first):
        return None
    if telling := _by_content(name, first, compressed):
        return telling
    if form:
        return None
    return by_suffix or f"of no kind that is read; {KNOWN}"


def _opening(path: str) -> tuple[bytes, str]:
    """The first bytes of a file, decompressed as far as they can be, and how it is compressed by its bytes."""
    with open_file(path) as handle:
        file = File(handle)
        first = file.read(0, _OPENING)
        compressed = next((suffix for magic, suffix in _COMPRESSED if first.startswith(magic)), "")
        if compressed == ".gz":
            return Gzip().opening(file, 0, _OPENING), compressed
    if compressed and compressed == compression_of(path):
        try:
            with open_decompressed(path) as lines:
                return lines.read(_OPENING), compressed
        except BROKEN:
            return b"", compressed  # damage is counted when the file is read
    return first, compressed


def _otherwise(name: str, form: Form | None, first: bytes, compressed: str) -> str | None:
    """What a file is by its bytes, if that is not what its name says; None where they may be one."""
    if compressed and not name.endswith(COMPRESSIONS) and form != "parquet":
        return f"compressed; rename it to end in {compressed}"
    if form == "parquet":
        return None  # its schema is read before any work
    if is_archive(first):
        return f"a web archive; rename it to end in .warc{compressed}"
    if form == "lines":
        start = first.lstrip(_SPACE)
        if start[:1] == b"[":
            return f"{_JSON_ARRAY}; {_jq('.[]', compressed)}"
        lines = start.split(b"\n", 1)
        if ".json" in name[-9:] and len(lines) > 1 and start[:1] == b"{" and not lines[0].rstrip().endswith(b"}"):
            return f"JSON, with an object on several lines; {_jq('.', compressed)}"
        return None
    return _by_magic(name, first) or (_HTML if form != "html" and _is_html(first) else None)


def left_out(ignored: Sequence[str]) -> list[str]:
    """A line for each group of the files in directories that are not read: which, why, and how to read them."""
    lines = []
    for suffixes in (suffixes for _, suffixes in GROUPS):
        if files := [file for file in ignored if chosen([file]) == suffixes]:
            kinds = Counter(_ending(file) for file in files)
            pattern = f"{files[0].rpartition('/')[0] or '.'}/*{_ending(files[0])}"
            few = "1 file" if len(files) == 1 else f"{len(files):,} files"
            lines.append(
                f"skipped {few} ({_counts(kinds)}), the first is {files[0]}: a directory is read for one kind of file, "
                f'since others beside them are mostly about them; to read them too, add "{pattern}" to input.paths'
            )
    if others := [file for file in ignored if not chosen([file])]:
        kinds = Counter(_ending(file) for file in others)
        few = "1 other file" if len(others) == 1 else f"{len(others):,} other files"
        lines.append(f"skipped {few} ({_counts(kinds)}), the first is {others[0]}: {KNOWN}")
    return lines


def _ending(path: str) -> str:
    """The suffix of a file; both where the last one only says how it is compressed."""
    suffixes = PurePosixPath(path).suffixes
    packed = suffixes[-1:] and suffixes[-1].lower() in COMPRESSIONS
    return "".join(suffixes[-2 if packed else -1 :]) or "without a suffix"


def _counts(kinds: Counter[str]) -> str:
    most = [f"{count:,} {kind}" for kind, count in kinds.most_common(4)]
    return ", ".join([*most, *(["..."] if len(kinds) > 4 else [])])


def _by_length() -> list[tuple[tuple[str, ...], str]]:
    """The suffixes one by one, the longest first: .tar.bz2 before .bz2."""
    single = [((suffix,), text) for suffixes, text in _BY_SUFFIX.items() for suffix in suffixes]
    return sorted(single, key=lambda entry: -len(entry[0][0]))


def _by_content(name: str, first: bytes, compressed: str) -> str | None:
    """What a file is that is no archive, from its first bytes, decompressed; None where they are not telling."""
    if telling := _by_magic(name, first):
        return (
            f"{telling.partition(';')[0]}, compressed; decompress it first"
            if compressed and "rename" in telling
            else telling
        )
    start = first.lstrip(_SPACE)
    if _is_html(first):
        return _HTML
    if start[:5] == b"<?xml":
        return f"XML; {_EXTRACT_FIRST}"
    if _ARRAY.match(start):
        return f"{_JSON_ARRAY}; {_jq('.[]', compressed)}"
    if start[:1] == b"{":
        ends = start.split(b"\n", 1)[0].rstrip().endswith(b"}")
        return f"JSON Lines; rename it to end in .jsonl{compressed}" if ends else f"JSON; {_jq('.', compressed)}"
    return None


def _by_magic(name: str, first: bytes) -> str | None:
    for magic, text in _BY_MAGIC:
        if first.startswith(magic):
            return text
    return f"a tar file; {_UNPACK}" if first[257:262] == b"ustar" else None


def _is_html(first: bytes) -> bool:
    return first.lstrip(_SPACE)[:15].lower().startswith((b"<!doctype html", b"<html", b"<head"))


def _jq(filter: str, compressed: str) -> str:
    """The command that writes JSON Lines."""
    read = f"{_PROGRAMS[compressed]} -dc FILE | jq -c '{filter}'" if compressed else f"jq -c '{filter}' FILE"
    return f"write one object per line: {read} > NEW.jsonl"
