"""Archives in LZ4 (.warc.lz4): a frame a record, or many records in one, read as gzip members are."""

from collections.abc import Iterator

from pipeline.extract.inputs.compressed import BROKEN, arrow_pieces, to_the_break
from pipeline.extract.inputs.frames import Frame, FrameMember, skippable_end
from pipeline.extract.inputs.stream import File, Member

LZ4_MAGIC = b"\x04\x22\x4d\x18"
# The second byte of a frame's head (LZ4 Frame Format 1.6): its version, and bits for what follows it, each block and the last.
_VERSION = 1  # in the highest two bits
_DICTIONARY, _CONTENT_CHECKSUM, _CONTENT_SIZE, _BLOCK_CHECKSUM = 0x01, 0x04, 0x08, 0x10
_UNCOMPRESSED = 1 << 31  # in a block's size


class Lz4:
    """An archive in LZ4."""

    magic = LZ4_MAGIC
    name = "LZ4"
    problem = "bad_lz4"
    unit = "LZ4 frame"

    def member(self, file: File, offset: int, max_record_bytes: int) -> Member:
        """The frame at `offset`."""
        return FrameMember(
            lambda: Frame(file, offset, block_ends),
            lambda opened: to_the_break(opened, arrow_pieces("lz4")),
            self.name,
            BROKEN,
            max_record_bytes,
        )

    def opening(self, file: File, offset: int, count: int) -> bytes:
        """The first `count` decompressed bytes of the frame at `offset`; empty if none starts there."""
        head = file.read(offset, 5)
        if head[:4] != LZ4_MAGIC or (head[4:] and head[4] >> 6 != _VERSION):
            return b""
        opening = b""
        try:
            for piece in arrow_pieces("lz4")(Frame(file, offset, block_ends), lambda _: count):
                opening += piece
                if len(opening) >= count:
                    break
        except BROKEN:
            pass  # told when the frame is read
        return opening[:count]

    def padding_end(self, file: File, offset: int) -> int:
        """Where the skippable frames end that begin at `offset`."""
        return skippable_end(file, offset)


def block_ends(file: File, offset: int) -> Iterator[int]:
    """The ends of a frame's head and of its blocks, and last its own; beyond the end of the file if it is cut."""
    flags = int.from_bytes(file.read(offset + 4, 1), "little")
    at = offset + 7 + 8 * bool(flags & _CONTENT_SIZE) + 4 * bool(flags & _DICTIONARY)
    yield at
    while at + 4 <= file.end and (size := int.from_bytes(file.read(at, 4), "little")):
        at += 4 + (size & ~_UNCOMPRESSED) + 4 * bool(flags & _BLOCK_CHECKSUM)
        yield at
    yield at + 4 + 4 * bool(flags & _CONTENT_CHECKSUM)
