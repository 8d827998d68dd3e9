"""Files to parts: where a large file is cut, which small files share a part, and the digest of each piece."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.core.fingerprint import fingerprint
from pipeline.errors import UserError, without_secrets
from pipeline.extract.inputs.datasets_input import dataset_state, open_dataset
from pipeline.extract.inputs.documents import lost_columns
from pipeline.extract.inputs.files import digest_of, is_remote
from pipeline.extract.inputs.files import state as file_state
from pipeline.extract.inputs.forms import DATASET
from pipeline.extract.inputs.sources import check_columns, cut, kind
from pipeline.extract.options import Columns, Dataset, InputOptions, TextUnit

_BLOCK = 1 << 20
SMALL = 256
"""Files smaller than part_bytes / SMALL share parts: 1 MB by default. Every step opens, signs and checks each part, which takes
as long as a hundred pages; a megabyte of compressed pages is several hundred."""
SHARED = 32
"""A part of several files has at most part_bytes / SHARED: 8 MB by default, so that 100 MB of small files are still enough
parts for many workers."""
FILES = 4096
"""A part has at most this many files."""


def list_parts(
    files: Sequence[str],
    part_bytes: int,
    known: Sequence[Mapping[str, Any]],
    text_unit: TextUnit = "file",
    note: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """The entries of parts.json: one for each piece of each file, in order, with the number of its part.

    `known` are the entries of an earlier plan. A file with unchanged size and modification time, cut into pieces of the same
    size, is not read again. Otherwise a file is read once, however many pieces it has. A remote file of an earlier plan that
    cannot be reached any more, such as one whose signature has expired, is noted and taken as unchanged.
    """
    planned: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in known:
        state = (entry["path"], entry["file_bytes"], entry["modified"], entry["part_bytes"])
        planned.setdefault(state, []).append(entry)
    entries: list[dict[str, Any]] = []
    for number, path in enumerate(files):
        shown = without_secrets(path)
        try:
            size, version = file_state(path)
        except UserError as error:
            same = [state for state in planned if state[0] == shown and state[3] == part_bytes]
            if not is_remote(path) or not same:
                raise
            note(f"{error}; it is taken as it was when this run read it")
            size, version = same[0][1:3]
        state = (shown, size, version, part_bytes)
        if state in planned:
            entries += [{**entry, "file": number} for entry in planned[state]]
            continue
        cuts = cut(path, part_bytes, text_unit) if size > part_bytes else [0]
        ends = [*cuts[1:], None]
        if is_remote(path):
            digests = [digest_of(size, version, start, end) for start, end in zip(cuts, ends, strict=True)]
        else:
            digests = range_digests(path, cuts)
        for start, end, digest in zip(cuts, ends, digests, strict=True):
            length = (size if end is None else end) - start
            part = {"path": shown, "file": number, "start": start, "end": end, "size": length, "digest": digest}
            entries.append(part | {"file_bytes": state[1], "modified": state[2], "part_bytes": part_bytes})
    numbers = part_numbers(entries, part_bytes)
    return [{**entry, "part": number} for entry, number in zip(entries, numbers, strict=True)]


def public_input(options: InputOptions) -> InputOptions:
    """The input as it is stored: its URLs without keys, passwords and signatures."""
    crawl = options.common_crawl
    crawl = crawl and replace(crawl, base=without_secrets(crawl.base))
    return replace(options, paths=tuple(map(without_secrets, options.paths)), common_crawl=crawl)


def part_numbers(entries: Sequence[Mapping[str, Any]], part_bytes: int) -> list[int]:
    """The number of the part of each piece: small files share parts.

    A shared part ends where it is full, and after a file whose path's hash says so, which is more likely the larger the file
    is: after half a part's bytes on average. So a new file changes the part that it comes into, not all those that follow.
    """
    most = part_bytes // SHARED
    numbers: list[int] = []
    part, size, is_open = -1, 0, False
    for entry in entries:
        is_small = entry["start"] == 0 and entry["end"] is None and entry["size"] * SMALL < part_bytes
        weight = max(entry["size"], -(-most // FILES), 1)
        if not (is_small and is_open and size + weight <= most):
            part, size = part + 1, 0
        numbers.append(part)
        size += weight
        draw = int.from_bytes(hashlib.blake2b(entry["path"].encode(), digest_size=8).digest()) / 2**64
        is_open = is_small and draw * most >= 2 * weight
    return numbers


def check_documents(files: Sequence[str], columns: Columns, known: Sequence[Mapping[str, Any]]) -> list[str]:
    """UserError if a file of documents on disk lacks the column of the text or HTML; a line for each other missing column.

    A file that is in `known`, the entries of an earlier plan, was checked then. A remote file is checked when it is read.
    """
    planned = {(entry["path"], entry["file_bytes"], entry["modified"]) for entry in known}
    lines: dict[str, str] = {}
    for path in files:
        if not is_remote(path) and (path, *file_state(path)) not in planned:
            for line in check_columns(path, columns):
                lines.setdefault(line.partition(":")[0], line)  # one for each key, not for each file
    return list(lines.values())


def list_shards(dataset: Dataset, columns: Columns, note: Callable[[str], None]) -> list[dict[str, Any]]:
    """The entries of parts.json for a dataset: one for each of its shards. Its bytes are not read; `dataset_state` stands
    for them, so a dataset that changes under the same name and version is not noticed. Notes which columns are lost."""
    opened = open_dataset(dataset)
    shards = opened.num_shards
    for line in lost_columns(f"input.dataset {dataset.name}", opened.column_names or (), columns):
        note(line)
    state = fingerprint(dataset.name, dataset.subset, dataset.split, dataset.revision, dataset_state(dataset), shards)
    common = {"path": f"{DATASET}{dataset.name}", "size": 0, "digest": state}
    return [
        common | {"file": n, "start": n, "end": n + 1, "file_bytes": 0, "modified": 0, "part_bytes": 0}
        for n in range(shards)
    ]


def range_digests(path: str, cuts: Sequence[int]) -> list[str]:
    """BLAKE2b of the bytes between the cuts, and after the last one, in one pass; except for the first range, the hash
    includes the kind of file."""
    digests = []
    with open(path, "rb") as file:
        for start, end in zip(cuts, [*cuts[1:], None], strict=True):
            hashed = hashlib.blake2b(kind(path).encode() if start else b"", digest_size=16)
            remaining = None if end is None else end - start
            while block := file.read(_BLOCK if remaining is None else min(_BLOCK, remaining)):
                hashed.update(block)
                remaining = None if remaining is None else remaining - len(block)
            digests.append(hashed.hexdigest())
    return digests
