"""tiktoken's rank files: a line a token, its bytes in base64 and its rank, which is its id. They name no merges."""

import base64
import binascii
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from pipeline.errors import UserError


def read_ranks(path: Path) -> dict[int, bytes]:
    """The vocabulary of a rank file; UserError naming the line that is none."""
    found: dict[int, bytes] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            found[int(rank)] = base64.b64decode(token, validate=True)
        except (ValueError, binascii.Error):
            raise UserError(f"{path}: line {number} is not a token in base64 and its rank") from None
    return found


def merges_of(vocab: Mapping[int, bytes]) -> list[tuple[bytes, bytes]]:
    """The merge that makes each token of two bytes or more: what is left of it when all lower ranks have been merged.

    UserError for a token that lower ranks do not make of two, which tiktoken would take whole and BPE never makes.
    """
    ranks = {token: rank for rank, token in vocab.items()}
    merges = []
    for rank, token in sorted(vocab.items()):
        parts = [bytes([value]) for value in token]
        while len(parts) > 2:
            joined = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
            best = joined.index(min(joined))
            if joined[best] >= rank:
                raise UserError(f"token {token!r} of rank {rank} is not made of two tokens of lower ranks")
            parts[best : best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
    return merges
