"""WACZ: a zip with web archives in it, stored as they are, so that their records have places in the WACZ itself."""

import struct
import zipfile
from typing import BinaryIO

from pipeline.errors import UserError

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a file in a zip: magic, lengths of its name and of the extra field


def stored_archives(handle: BinaryIO, path: str) -> list[tuple[str, int, int]]:
    """Name, start and end (bytes of the WACZ) of every archive in the folder archive/, in the order of the bytes.

    UserError if it is no zip, has no archive, or has a compressed one, which the format forbids (WACZ 1.1.1, section 5.2.1).
    """
    try:
        with zipfile.ZipFile(handle) as packed:
            entries = [entry for entry in packed.infolist() if _is_archive(entry.filename)]
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise UserError(f"{path}: not a WACZ ({error})") from None
    if not entries:
        raise UserError(f"{path}: no archive in it (archive/*.warc, .warc.gz or .warc.zst)")
    archives = []
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.compress_type != zipfile.ZIP_STORED:
            raise UserError(f"{path}: {entry.filename} is compressed in it; unzip it and give the archive")
        handle.seek(entry.header_offset)
        head = handle.read(_LOCAL_HEADER.size)
        if len(head) < _LOCAL_HEADER.size or head[:4] != b"PK\x03\x04":
            raise UserError(f"{path}: damaged: {entry.filename} is not where its directory says")
        _, name_size, extra_size = _LOCAL_HEADER.unpack(head)
        begin = entry.header_offset + _LOCAL_HEADER.size + name_size + extra_size
        archives.append((entry.filename.lower(), begin, begin + entry.file_size))
    return archives


def _is_archive(name: str) -> bool:
    suffixes = (".warc", ".warc.gz", ".warc.zst", ".warc.lz4", ".arc", ".arc.gz")
    return name.startswith("archive/") and name.lower().endswith(suffixes)
