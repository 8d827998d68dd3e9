"""Ids equal to tiktoken's: `python tests/benchmarks/tokenizer_equality.py [CASES] [GIVEN...]`; exit code 1 for any difference.

A vocabulary of 32,000 is trained on the texts with each pattern. Then all texts, CASES (10,000) generated edge cases and a few
megabytes without a space are encoded by tiktoken and here: as plain text, with special tokens inside, and as streams cut at
random. So are they with each GIVEN vocabulary: a directory with GPT-2's encoder.json and vocab.bpe, or cl100k_base.tiktoken.
The texts must be at least 50 MB and of at least 20 languages with 100 kB or more each, and are counted here.
"""

import json
import random
import sys
from collections import Counter
from functools import partial
from itertools import pairwise
from pathlib import Path

import tiktoken

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from texts import real_texts

from pipeline.filters.language import LanguageIdentifier
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe
from pipeline.tokenize.bpe import _unspell as unspell
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN

SPECIAL = (END_OF_TEXT, "<|mask|>")
# Where tokenizers go wrong: white space of every kind, contractions, digits of many scripts, letters that change with case or
# with the Unicode version, marks, astral characters, joined emoji, controls, what stands for invalid UTF-8.
PIECES = [
    *(" ", "  ", "\n", "\n\n", "\r\n", "\r", "\t", "\v", "\f", "\x1c", "\x85", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029"),
    *("\u202f", "\u3000", "\u180e", "\u200b", "\u200d", "\ufeff", "\u2060", "\x00", "\x07", "\x7f", "\ufffd", "\ufffd\ufffd"),
    *("'s", "'S", "'t", "'re", "'RE", "'Ve", "'ll", "'LL", "'d", "'\u017f", "\u2019s", "'", "''", "'x", "s'", "I'm", "can't"),
    *("0", "12", "123", "1234", "12345678901", "\u0663\u0664", "\u0967\u0968", "\u00b2", "\u2167", "\u00bd", "\u4e09", "3.14"),
    *("word", "Word", "WORD", "na\u00efve", "e\u0301", "\u0130", "\u0131", "\u00df", "\u1e9e", "\u01c5", "\u02b0", "\u0640", "\u1c89"),
    *("\u4e2d\u6587", "\u3042", "\ud55c\uad6d", "\u0e20\u0e32\u0e29\u0e32", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u05d0\u05b8", "\u0627\u064b"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001d54f", "\U00010400", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\U000e0001"),
    *("!", "...", "\u2026", "--", "(", ")", "_", "#", "&&", "=>", "\u00bf", "\u3002", "\u20ac", "\u00a9", "$", "<", "|", ">", "\\"),
    *SPECIAL,
    *("<|endoftext", "endoftext|>", "<|", "|>", "<|mask|", "\uffff", "\ue000", "\U0010ffff", "\u0378", "\U00031350", "\U0001fae9"),
]  # fmt: skip


def edge_cases(count: int, texts: list[str]) -> list[str]:
    """Pieces in random order, runs of one piece, bytes that are no UTF-8 decoded, and real text with pieces thrown in."""
    draw = random.Random(1)
    cases = []
    for number in range(count):
        kind = number % 5
        if kind == 0:
            cases.append("".join(draw.choices(PIECES, k=draw.randint(1, 40))))
        elif kind == 1:
            cases.append("".join(draw.choice(PIECES) * draw.randint(1, 30) for _ in range(draw.randint(1, 6))))
        elif kind == 2:
            cases.append(draw.randbytes(draw.randint(1, 60)).decode("utf-8", "replace"))
        elif kind == 3:
            points = [
                draw.choice((draw.randrange(0x250), draw.randrange(0xD800), draw.randrange(0xE000, 0x110000)))
                for _ in range(30)
            ]
            cases.append("".join(map(chr, points)))
        else:
            text = draw.choice(texts)
            start = draw.randrange(len(text))
            words = list(text[start : start + 200])
            for _ in range(draw.randint(1, 8)):
                words.insert(draw.randint(0, len(words)), draw.choice(PIECES))
            cases.append("".join(words))
    return cases


def long_cases(texts: list[str]) -> list[str]:
    """A megabyte and more without a space, of one letter, of all text, of digits; and of nothing but white space."""
    solid = "".join("".join(texts[:2000]).split())[:1_000_000]
    draw = random.Random(2)
    digits = "".join(draw.choices("0123456789", k=1_000_000))
    return ["a" * 1_000_000, solid, digits, "\u4e2d" * 400_000, " " * 300_000 + "x", "\n" * 300_000, "\r\n\t " * 75_000]


def streams_equal(tokenizer: Tokenizer, oracle: tiktoken.Encoding, text: str, draw: random.Random) -> bool:
    cuts = sorted(draw.randrange(len(text) + 1) for _ in range(draw.choice((1, 10, 1000))))
    chunks = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    if draw.random() < 0.1:
        chunks = list(text)  # a character at a time
    plain = list(tokenizer.encode_stream(chunks)) == oracle.encode_ordinary(text)
    return plain and list(tokenizer.encode_stream(chunks, allow_special=True)) == oracle.encode(
        text, allowed_special="all"
    )


def given(path: Path) -> Tokenizer:
    """GPT-2's vocabulary as OpenAI published it, or cl100k's ranks."""
    if path.is_file():
        return Tokenizer.from_file(path, pattern=CL100K_PATTERN, special_tokens=SPECIAL)
    spelled = json.loads((path / "encoder.json").read_text("utf-8"))
    special = {END_OF_TEXT: END_OF_TEXT.encode()}
    vocab = {number: special.get(token) or unspell(token) for token, number in spelled.items()}
    lines = (path / "vocab.bpe").read_text("utf-8").splitlines()[1:]
    merges = [(unspell(left), unspell(right)) for left, right in (line.split() for line in lines if line)]
    return Tokenizer(vocab, merges, SPECIAL, GPT2_PATTERN)


def languages(texts: list[str]) -> Counter[str]:
    """UTF-8 bytes of each language."""
    sizes: Counter[str] = Counter()
    for text, found in zip(texts, LanguageIdentifier().predict([text[:2000] for text in texts]), strict=True):
        sizes[found.label] += len(text.encode())
    return sizes


def main() -> None:
    texts = real_texts()
    size = sum(len(text.encode()) for text in texts)
    large = {name: count for name, count in languages(texts).most_common() if count >= 100_000}
    print(
        f"{len(texts):,} real texts, {size / 1e6:.1f} MB; {len(large)} languages of 100 kB or more: {' '.join(large)}"
    )
    cases = edge_cases(int(sys.argv[1]) if sys.argv[1:] else 10_000, texts)
    wrong = 0
    made = {
        "gpt2": partial(train_bpe, texts, 32_000, SPECIAL),
        "cl100k": partial(train_bpe, texts, 32_000, SPECIAL, CL100K_PATTERN),
    }
    for name, make in (made | {path: partial(given, Path(path)) for path in sys.argv[2:]}).items():
        tokenizer = make()
        pattern, name = tokenizer.pattern, Path(name).stem
        special = tokenizer.special_tokens
        ranks = {token: number for number, token in tokenizer.vocab.items() if number not in special.values()}
        oracle = tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special)
        for kind, some in (("real texts", texts), ("edge cases", cases), ("long cases", long_cases(texts))):
            expected = oracle.encode_ordinary_batch(some, num_threads=1)
            ids, offsets = tokenizer.encode_batch(some)
            differing = sum(
                ids[a:b].tolist() != other for (a, b), other in zip(pairwise(offsets), expected, strict=True)
            )
            lost = sum(tokenizer.decode(ids[a:b]) != text for (a, b), text in zip(pairwise(offsets), some, strict=True))
            print(
                f"{name:7} {kind}: {len(some):,} encoded, {offsets[-1]:,} tokens, {differing} differ, {lost} decode to another text"
            )
            wrong += differing + lost
        differing = sum(
            tokenizer.encode(text, allow_special=True) != oracle.encode(text, allowed_special="all") for text in cases
        )
        print(f"{name:7} edge cases with special tokens: {differing} differ")
        draw = random.Random(3)
        some = [*cases[::10], *draw.sample(texts, 300), *("".join(draw.sample(texts, 400)) for _ in range(5))]
        streams = sum(not streams_equal(tokenizer, oracle, text, draw) for text in some)
        print(f"{name:7} streams: {len(some):,} texts cut at random, with and without special tokens: {streams} differ")
        wrong += differing + streams
    print("zero differences" if not wrong else f"{wrong} DIFFERENCES")
    sys.exit(bool(wrong) or size < 50_000_000 or len(large) < 20)


if __name__ == "__main__":
    main()
