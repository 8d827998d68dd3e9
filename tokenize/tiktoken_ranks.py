"""tiktoken's rank files: one line per token with its bytes in base64 and its rank, which is its id. They have no merges."""

import base64
import binascii
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from pipeline.errors import UserError


def read_ranks(path: Path) -> dict[int, bytes]:
    """The vocabulary of a rank file; UserError naming an invalid line."""
    vocab: dict[int, bytes] = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            vocab[int(rank)] = base64.b64decode(token, validate=True)
        except (ValueError, binascii.Error):
            raise UserError(f"{path}: line {number} is not a token in base64 and its rank") from None
    return vocab


def merges_of(vocab: Mapping[int, bytes]) -> list[tuple[bytes, bytes]]:
    """The merge that makes each token of two bytes or more: the pair it consists of after all merges of lower rank.

    UserError for a token that is not made of two tokens of lower ranks: tiktoken would use it, but BPE never makes it.
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
