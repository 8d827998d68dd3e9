"""Files that are not read as input: what they are, told by their names and first bytes, and what to do with them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pipeline.errors import UserError
from pipeline.extract.inputs.archive import ARCHIVE_SUFFIXES, is_archive
from pipeline.extract.inputs.documents import DOCUMENT_SUFFIXES, LINES
from pipeline.extract.inputs.files import is_remote, open_file
from pipeline.extract.inputs.stream import GZIP_MAGIC, File, opening

_READ = ".warc, .arc, .wet (also .gz), .jsonl (also .gz, .zst) and .parquet are read"
_OPENING = 4096  # bytes that a file's kind is told from

_ARRAY = re.compile(rb"\[\s*[{\"\]]")  # unlike a table of TOML

_UNPACK = "unpack it and give the files inside"
_UNZIP_WACZ = "a WACZ, which is a zip: unzip it and give the archives in its folder archive/"
_TO_LINES = 'put each document on a line of a .jsonl file, as {"text": ...}'
_TO_HTML_LINES = 'put each page on a line of a .jsonl file, as {"html": ..., "url": ...}, and set input.html = "html"'
_TO_PARQUET = "convert it to Parquet, for example with DuckDB: copy (from 'FILE') to 'FILE.parquet'"
_EXTRACT_FIRST = f"take the text out with another tool, then {_TO_LINES}"

_BY_SUFFIX: dict[tuple[str, ...], str] = {
    (".wat", ".wat.gz"): "WAT, metadata without pages; give the .warc or .wet file of the same name",
    (".wacz",): _UNZIP_WACZ,
    (
        ".zip",
        ".tar",
        ".tgz",
        ".tar.gz",
        ".tar.bz2",
        ".tar.xz",
        ".tar.zst",
        ".7z",
        ".rar",
    ): f"a packed folder; {_UNPACK}",
    (".html", ".htm", ".xhtml", ".mht", ".mhtml", ".html.gz"): f"HTML; {_TO_HTML_LINES}",
    (".txt", ".txt.gz", ".md", ".rst", ".log", ".tex"): f"plain text; {_TO_LINES}",
    (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".xlsx", ".xls"): f"a table of another format; {_TO_PARQUET}",
    (
        ".json",
        ".json.gz",
    ): "JSON; write one object per line: jq -c '.[]' FILE > FILE.jsonl for an array, jq -c . for objects",
    (
        ".arrow",
        ".feather",
        ".ipc",
    ): "Arrow; give the folder that `datasets` saved as input.dataset, or convert it to Parquet",
    (".pdf", ".doc", ".docx", ".odt", ".epub", ".ps", ".djvu"): f"a document of another format; {_EXTRACT_FIRST}",
    (".xml", ".xml.gz", ".xml.bz2"): f"XML; {_EXTRACT_FIRST}",
    (".cdx", ".cdx.gz", ".cdxj", ".cdxj.gz", ".idx"): "an index of archives; give the archives that it names",
    (".bz2", ".xz", ".zst", ".lz4", ".lzma", ".br"): "compressed in a way that is not read; decompress it first",
    (".toml",): "a config file; give it to python -m pipeline run",
}
"""Suffixes -> what such a file is, and what to do with it. A longer suffix goes first."""

_BY_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", f"a zip file; {_UNPACK}"),
    (b"PAR1", "Parquet; rename it to end in .parquet"),
    (b"%PDF", f"PDF; {_EXTRACT_FIRST}"),
    (b"BZh", "compressed with bzip2, which is not read; decompress it first"),
    (b"\xfd7zXZ\0", "compressed with xz, which is not read; decompress it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, which only .jsonl.zst may be; decompress it first"),
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
    name = path.lower()
    by_suffix = next((text for suffixes, text in _by_length() if name.endswith(suffixes)), None)
    if is_remote(path):
        return None if name.endswith(ARCHIVE_SUFFIXES + DOCUMENT_SUFFIXES) else by_suffix
    with open_file(path) as handle:
        file = File(handle)
        first = file.read(0, _OPENING)
        packed = first.startswith(GZIP_MAGIC)
        first = opening(file, 0, _OPENING) if packed else first
    if name.endswith((".wat", ".wat.gz")):
        return by_suffix
    if name.endswith(DOCUMENT_SUFFIXES):
        array = name.endswith(LINES) and not name.endswith(".zst") and first.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
        return (
            "a JSON array, not JSON Lines; write one object per line: jq -c '.[]' FILE > NEW.jsonl" if array else None
        )
    if is_archive(first):
        return None
    if telling := _by_content(name, first, packed):
        return telling
    if name.endswith(ARCHIVE_SUFFIXES):
        return None
    return by_suffix or f"no archive, JSON Lines or Parquet; {_READ}"


def left_out(ignored: Sequence[str]) -> list[str]:
    """A line for each group of the files in directories that are not read: which, why, and how to read them."""
    lines = []
    tables = [file for file in ignored if file.lower().endswith(DOCUMENT_SUFFIXES)]
    if tables:
        kinds = Counter(_ending(file) for file in tables)
        pattern = f"{tables[0].rpartition('/')[0] or '.'}/*{_suffix(tables[0], DOCUMENT_SUFFIXES)}"
        lines.append(
            f"{len(tables):,} files of documents ({_counts(kinds)}) are left out, {tables[0]} first: beside archives they are "
            f'mostly lists of them; to read them too, add "{pattern}" to input.paths'
        )
    others = [file for file in ignored if not file.lower().endswith(DOCUMENT_SUFFIXES)]
    if others:
        kinds = Counter(_ending(file) for file in others)
        lines.append(f"{len(others):,} other files ({_counts(kinds)}) are left out, {others[0]} first: {_READ}")
    return lines


def _ending(path: str) -> str:
    """The suffix of a file; both where the last one only says how it is compressed."""
    suffixes = PurePosixPath(path).suffixes
    packed = suffixes[-1:] in ([".gz"], [".zst"], [".bz2"], [".xz"])
    return "".join(suffixes[-2 if packed else -1 :]) or "without a suffix"


def _counts(kinds: Counter[str]) -> str:
    most = [f"{count:,} {kind}" for kind, count in kinds.most_common(4)]
    return ", ".join([*most, *(["..."] if len(kinds) > 4 else [])])


def _suffix(path: str, known: Sequence[str]) -> str:
    return next(suffix for suffix in known if path.lower().endswith(suffix))


def _by_length() -> list[tuple[tuple[str, ...], str]]:
    """The suffixes one by one, the longest first: .tar.bz2 before .bz2."""
    single = [((suffix,), text) for suffixes, text in _BY_SUFFIX.items() for suffix in suffixes]
    return sorted(single, key=lambda entry: -len(entry[0][0]))


def _by_content(name: str, first: bytes, packed: bool) -> str | None:
    """What a file is that is no archive, from its first bytes, decompressed; None where they are not telling."""
    for magic, text in _BY_MAGIC:
        if first.startswith(magic):
            return _UNZIP_WACZ if name.endswith(".wacz") else text
    if first[257:262] == b"ustar":
        return f"a tar file; {_UNPACK}"
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:15].lower().startswith((b"<!doctype html", b"<html", b"<head")):
        return f"HTML; {_TO_HTML_LINES}"
    if start[:5] == b"<?xml":
        return f"XML; {_EXTRACT_FIRST}"
    if _ARRAY.match(start):
        return "a JSON array; write one object per line: jq -c '.[]' FILE > FILE.jsonl"
    if start[:1] == b"{":
        ends = start.split(b"\n", 1)[0].rstrip().endswith(b"}")
        suffix = ".jsonl.gz" if packed else ".jsonl"
        return (
            f"JSON Lines; rename it to end in {suffix}"
            if ends
            else "JSON; write one object per line: jq -c . FILE > FILE.jsonl"
        )
    return None
