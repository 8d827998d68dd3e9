"""Files to parts: where a large file is cut, and the digest of each part."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.fingerprint import fingerprint
from pipeline.extract.inputs.documents import dataset_state, open_dataset
from pipeline.extract.inputs.files import digest_of, is_remote
from pipeline.extract.inputs.files import state as file_state
from pipeline.extract.inputs.sources import DATASET, check_columns, cut, kind
from pipeline.extract.options import Columns, Dataset

_BLOCK = 1 << 20


def list_parts(files: Sequence[str], part_bytes: int, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries of parts.json: one for each part of each file, in order.

    `known` are the entries of an earlier plan. A file with unchanged size and modification time, cut into parts of the same
    size, is not read again. Otherwise a file is read once, however many parts it has.
    """
    planned: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for entry in known:
        state = (entry["path"], entry["file_bytes"], entry["modified"], entry["part_bytes"])
        planned.setdefault(state, []).append(entry)
    entries: list[dict[str, Any]] = []
    for number, path in enumerate(files):
        size, version = file_state(path)
        state = (path, size, version, part_bytes)
        if state in planned:
            entries += [{**entry, "file": number} for entry in planned[state]]
            continue
        cuts = cut(path, part_bytes)
        ends = [*cuts[1:], None]
        if is_remote(path):
            digests = [digest_of(size, version, start, end) for start, end in zip(cuts, ends, strict=True)]
        else:
            digests = range_digests(path, cuts)
        for start, end, digest in zip(cuts, ends, digests, strict=True):
            length = (size if end is None else end) - start
            part = {"path": path, "file": number, "start": start, "end": end, "size": length, "digest": digest}
            entries.append(part | {"file_bytes": state[1], "modified": state[2], "part_bytes": part_bytes})
    return entries


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


def list_shards(dataset: Dataset) -> list[dict[str, Any]]:
    """The entries of parts.json for a dataset: one for each of its shards. Its bytes are not read; `dataset_state` stands
    for them, so a dataset that changes under the same name and version is not noticed."""
    shards = open_dataset(dataset).num_shards
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
