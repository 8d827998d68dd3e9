"""Content hashes: the kernel against the normalization written in plain Python."""

import random
import unicodedata
from hashlib import blake2b

import pyarrow as pa
import pytest

from pipeline.filters.dedup.exact import content_hashes

# Case, white space of every kind, characters that normalization changes, joins or reorders, and all lengths of UTF-8.
ODD = (
    "aAbZ09 \t\n\r\x0b\x1c\x1f\x85\xa0\u1680\u2003\u2028\u3000\u200b.,-_"
    "éÉèßİıΣςσÅ\u212b\u0344\u0301\u0323\u0302\u0308ȺⱥȾẞǅ\u1ecd\ufb01"
    "\u1112\u1161\u11ab한글\u0915\u093c\u094d\u09c7\u09be\u0e01\u0e34\u0e49中々あがか\u3099カ\uff76"
    "😀𐐀𠀀𝐀\ufffd\U000e0100\U0010ffff\ue000"
)


def slow_normalized(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    return " ".join("".join(character.lower()[0] for character in composed).split())


def slow_hash(text: str) -> bytes:
    return blake2b(slow_normalized(text).encode(), digest_size=16).digest()


def odd_texts(n: int, seed: int) -> list[str]:
    source = random.Random(seed)
    return ["".join(source.choices(ODD, k=source.randrange(12))) for _ in range(n)]


def test_the_hash_is_blake2b_of_the_normalized_text() -> None:
    assert content_hashes(["Hello  World\n"])[0].as_py().hex() == blake2b(b"hello world", digest_size=16).hexdigest()


def test_the_kernel_equals_plain_python() -> None:
    texts = odd_texts(20_000, 1)
    assert content_hashes(texts).to_pylist() == [slow_hash(text) for text in texts]


def test_every_character_alone_and_between_letters_equals_plain_python() -> None:
    texts = [f"A{chr(code)}B{chr(code)}" for code in range(0, 0x110000, 7) if not 0xD800 <= code < 0xE000]
    assert content_hashes(texts).to_pylist() == [slow_hash(text) for text in texts]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("A text.", " a\u00a0\n TEXT. ", True),
        ("caf\u00e9", "cafe\u0301", True),
        ("o\u0323\u0302", "o\u0302\u0323", True),
        ("ΟΔΟΣ", "οδοσ", True),
        ("a text.", "a text", False),
        ("9 %", "10 %", False),
        ("a b", "ab", False),
        ("café", "cafe", False),
        ("", " \u2003", True),
        ("", ".", False),
    ],
)
def test_what_counts_as_the_same_text(first: str, second: str, same: bool) -> None:
    a, b = content_hashes([first, second]).to_pylist()
    assert (a == b) is same


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_nulls_slices_and_empty_batches(kind: pa.DataType) -> None:
    texts = ["x" * 50, "One", None, "e\u0301", "", "two", None]
    array = pa.array(texts, kind)
    expected = [None if text is None else slow_hash(text) for text in texts]
    assert content_hashes(array).to_pylist() == expected
    assert content_hashes(array.slice(1, 5)).to_pylist() == expected[1:6]
    assert content_hashes(array.slice(3, 0)).to_pylist() == []
    assert content_hashes(pa.array([None, None], kind)).to_pylist() == [None, None]
    assert (
        content_hashes(pa.chunked_array([array.slice(2), array.slice(0, 2)])).to_pylist() == expected[2:] + expected[:2]
    )
    result = content_hashes(array)
    result.validate(full=True)
    assert result.type == pa.binary(16)


def test_bytes_under_a_null_do_not_matter() -> None:
    offsets = pa.array([0, 3, 6], pa.int32()).buffers()[1]
    hidden = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"abcdef"), pa.array([False, True]).buffers()[1])
    assert hidden.to_pylist() == [None, "def"]
    assert content_hashes(hidden).to_pylist() == [None, slow_hash("def")]
