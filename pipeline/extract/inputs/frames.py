"""Archives in formats of frames (zstd, LZ4): a frame a record, or many records in one."""

import io
from collections.abc import Callable, Iterator

from pipeline.extract.inputs.stream import BOMB_RATIO, BOMB_RECORDS, File

_STEP = 1 << 10  # bytes
_SKIPPABLE = b"\x2a\x4d\x18"  # behind a byte of 0x50 to 0x5F


class Frame(io.RawIOBase):
    """The bytes of one frame, a few of its blocks at a time.

    A decoder is given no byte behind the frame, and the walk from block to block goes no further than the decoder does: a file
    of broken frames takes time that grows with its size only.
    """

    def __init__(self, file: File, offset: int, ends: Callable[[File, int], Iterator[int]]) -> None:
        """`ends` gives the ends of the frame's head and of its blocks, and last its own: beyond the file's if it is cut."""
        self._file = file
        self._start = self._at = self._known = offset
        self._ends: Iterator[int] | None = ends(file, offset)

    def readable(self) -> bool:
        """See io.RawIOBase."""
        return True

    def read(self, size: int = -1) -> bytes:
        """See io.RawIOBase."""
        size = min(size, max(_STEP, self.taken))  # little of what only looks like a frame
        self._walk(self._at + size)
        piece = self._file.read(self._at, min(size, self._known - self._at))
        self._at += len(piece)
        return piece

    @property
    def taken(self) -> int:
        """How many bytes a decoder has been given."""
        return self._at - self._start

    def end(self) -> int | None:
        """Where the frame ends, for a frame that has been decoded to its end; None if the file ends before."""
        self._walk(self._file.end + 1)
        return self._known if self._known <= self._file.end else None

    def _walk(self, to: int) -> None:
        while self._ends and self._known < to:
            known = next(self._ends, None)
            if known is None:
                self._ends = None
            else:
                self._known = known


class FrameMember:
    """One frame: a Member whose end is known once all of it is decoded."""

    def __init__(
        self,
        opened: Callable[[], Frame],
        pieces: Callable[[Callable[[], Frame]], Iterator[bytes]],
        name: str,
        broken: tuple[type[Exception], ...],
        max_record_bytes: int,
    ) -> None:
        """`pieces` decodes what `opened` opens, each time from the start, and raises one of `broken`."""
        self.end: int | None = None
        self.problem: str | None = None
        self.detail: str | None = None
        self._name = name
        self._broken = broken
        self._limit = BOMB_RECORDS * max_record_bytes
        self._produced = 0
        self._frame = opened()
        self._pieces = pieces(self._opened)
        self._open = opened

    def _opened(self) -> Frame:
        self._frame = self._open()
        return self._frame

    def more(self) -> bytes:
        """See Member."""
        if self.problem is not None or self.end is not None:
            return b""
        try:
            piece = next(self._pieces, b"")
        except self._broken as error:
            cut = isinstance(error, EOFError) or "Truncated" in str(error)
            self._fail(cut, str(error))
            return b""
        self._produced += len(piece)
        if not piece:
            self.end = self._frame.end()
            if self.end is None:
                self._fail(True, "")
        elif self._produced > max(self._limit, BOMB_RATIO * self._frame.taken):
            self.problem, self.detail = "too_large", f"{self._produced:,} bytes and more in one {self._name} frame"
        return piece

    def _fail(self, cut: bool, error: str) -> None:
        self.problem = "truncated" if cut else f"bad_{self._name.lower()}"
        self.detail = f"the file ends within a frame of {self._name}" if cut else error


def skippable_end(file: File, offset: int) -> int:
    """Where the skippable frame at `offset` ends; `offset` if there is none."""
    head = file.read(offset, 8)
    if len(head) < 8 or head[1:4] != _SKIPPABLE or not 0x50 <= head[0] <= 0x5F:
        return offset
    return min(offset + 8 + int.from_bytes(head[4:], "little"), file.end)
