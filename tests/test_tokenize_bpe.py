"""Training against a slow trainer; encoding against tiktoken, `tokenizers`, `transformers` and a slow encoder."""

import base64
import inspect
import json
import pickle
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import regex
import tiktoken
import tiktoken_ext.openai_public
import tokenizers
import transformers

from pipeline.errors import UserError
from pipeline.tokenize import bpe, merges
from pipeline.tokenize.bpe import END_OF_TEXT, Tokenizer, train_bpe
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN, _check_engines, portable, split
from pipeline.tokenize.patterns import PATTERNS as NAMED
from pipeline.tokenize.pretokens import PreTokens, count_pretokens, grown
from pipeline.tokenize.spill import LEARNING_BYTES, DiskSpill
from pipeline.tokenize.vocabulary_report import measure

OWN_PATTERN = r"\p{L}+|\p{N}|\s+"  # leaves punctuation unmatched
PATTERNS = (GPT2_PATTERN, CL100K_PATTERN, OWN_PATTERN)
PATTERN_NAMES = ("gpt2", "cl100k", "own")

# Pieces that pre-tokenizers disagree about: white space of all kinds, contractions, case folding, marks, new letters.
PIECES = (
    *" \n\t'.,-_a1Z²Ⅷ٣१中あ한é\u0301\u00a0\u0085\u2028\u3000\u180e\x1c\x1f\x00\u200b\ufeff\ufffd😀𝟘ﬀ\U0010ffff\u1885\U00031350",
    *(
        "  ",
        "\r\n",
        "\n\n ",
        "'s",
        "'S",
        "'ſ",
        "'LL",
        "'l",
        "'ve",
        "'re",
        "’s",
        "12",
        "1234",
        "!!!",
        "...\n",
        "हिन्दी",
        "👨‍👩‍👧",
    ),
    *(END_OF_TEXT, "<|", "|>", "the", " the", "Straße", "ქართული", "naïve", "https://example.org/?q=1", "aaaa", " aaa"),
)
SENTENCES = (
    "The quick brown fox jumps over the lazy dog; it's 12345 o'clock, and they'll say so.\n\n",
    "Der schnelle braune Fuchs springt über den faulen Hund – immer wieder, 3,5-mal täglich.\r\n",
    "Быстрая коричневая лиса прыгает через ленивую собаку.  Она не устаёт!\n",
    "敏捷的棕色狐狸跳过了懒狗。它从不疲倦,每天三次。\n",
    "すばやい茶色の狐はのろまな犬を飛び越える。\n",
    "تقفز الثعلبة البنية السريعة فوق الكلب الكسول.\n",
    "तेज भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है।\n",
    "def fox(dog):\n    return [d for d in dog if d.lazy]  # 100 %\n",
)


def fuzz(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice(PIECES) for _ in range(rng.randint(0, 30))) for _ in range(count)]


def corpus(seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    words = " ".join(SENTENCES).split(" ")
    return ["".join(rng.sample(SENTENCES, 5)) + " ".join(rng.choices(words, k=200)) for _ in range(20)] + fuzz(50)


@pytest.fixture(scope="module", params=PATTERNS, ids=PATTERN_NAMES)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_bpe(corpus(), 900, (END_OF_TEXT,), request.param)


# The slow reference


def slow_pretokens(text: str, pattern: str) -> list[bytes]:
    pieces, end = [], 0
    for match in regex.finditer(pattern, text):
        pieces += [text[end : match.start()], match.group()]
        end = match.end()
    return [piece.encode() for piece in [*pieces, text[end:]] if piece]


def slow_merge(symbols: tuple[bytes, ...], pair: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    merged, at = [], 0
    while at < len(symbols):
        size = 2 if symbols[at : at + 2] == pair else 1
        merged.append(b"".join(symbols[at : at + size]))
        at += size
    return tuple(merged)


def slow_train(texts: list[str], merges: int, pattern: str) -> list[tuple[bytes, bytes]]:
    words = Counter(tuple(bytes([b]) for b in word) for text in texts for word in slow_pretokens(text, pattern))
    learned = []
    for _ in range(merges):
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        learned.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        merged: Counter[tuple[bytes, ...]] = Counter()
        for word, count in words.items():
            merged[slow_merge(word, learned[-1])] += count
        words = merged
    return learned


def slow_encode(tokenizer: Tokenizer, text: str) -> list[int]:
    ids = {token: number for number, token in tokenizer.vocab.items()}
    found = []
    for word in slow_pretokens(text, tokenizer.pattern):
        symbols = tuple(bytes([b]) for b in word)
        for pair in tokenizer.merges:
            symbols = slow_merge(symbols, pair)
        found += [ids[symbol] for symbol in symbols]
    return found


def as_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    special = dict(tokenizer.special_tokens)
    ranks = {token: number for number, token in tokenizer.vocab.items() if number not in special.values()}
    return tiktoken.Encoding("test", pat_str=tokenizer.pattern, mergeable_ranks=ranks, special_tokens=special)


# Training


@pytest.mark.parametrize("pattern", PATTERNS, ids=PATTERN_NAMES)
def test_training_equals_the_slow_trainer(pattern: str) -> None:
    texts = corpus()
    assert train_bpe(texts, 256 + 150, pattern=pattern).merges == slow_train(texts, 150, pattern)


def test_training_to_the_end_equals_the_slow_trainer() -> None:
    rng = random.Random(3)
    for alphabet in ("a", "ab", "abc ", "aé中 \n"):
        texts = ["".join(rng.choices(alphabet, k=rng.randint(0, 60))) for _ in range(12)]
        expected = slow_train(texts, 10_000, GPT2_PATTERN)
        trained = train_bpe(texts, 256 + 10_000)
        assert trained.merges == expected
        assert trained.vocab_size == 256 + len(expected)


def test_room_for_pairs_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train_bpe(corpus(), 1500).merges
    sizes: list[int] = []

    def growing(array: np.ndarray, size: int) -> np.ndarray:
        sizes.append(size)
        return grown(array, size)

    monkeypatch.setattr(merges, "_ROOM", 1024)
    monkeypatch.setattr(merges, "grown", growing)
    assert train_bpe(corpus(), 1500).merges == expected
    assert max(sizes) >= 2048


def test_pairs_of_bytes_are_the_same_in_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train_bpe(corpus(), 400).merges
    for size in (1, 3, 100):
        monkeypatch.setattr(merges, "_BLOCK", size)
        assert train_bpe(corpus(), 400).merges == expected


def test_ties_go_to_the_lexicographically_greatest_pair() -> None:
    assert train_bpe(["ab cd"], 257).merges == [(b"c", b"d")]
    assert train_bpe(["ab", "ac"], 257).merges == [(b"a", b"c")]
    # As pairs, not as joined strings: ("ab", "a") is above ("a", "bz") though "aba" is below "abz".
    assert train_bpe(["abaX", "abaX", "abz"], 259).merges[:1] == slow_train(["abaX", "abaX", "abz"], 1, GPT2_PATTERN)


@pytest.mark.parametrize("pattern", [GPT2_PATTERN, CL100K_PATTERN], ids=("gpt2", "cl100k"))
def test_scanned_pretokens_are_the_patterns(pattern: str) -> None:
    texts = fuzz(3000, seed=5) + list(SENTENCES)
    counted = count_pretokens(texts, pattern)
    bounds = counted.offsets.tolist()
    words = [counted.data[a:b].tobytes() for a, b in pairwise(bounds)]
    expected = Counter(word for text in texts for word in slow_pretokens(text, pattern))
    assert dict(zip(words, counted.counts.tolist(), strict=True)) == expected
    assert len(words) == len(set(words))


def test_training_ignores_order_and_how_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = corpus()
    trained = train_bpe(texts, 500, (END_OF_TEXT,)).merges
    assert train_bpe(iter(texts[::-1]), 500, (END_OF_TEXT,)).merges == trained
    assert train_bpe([pa.array([None, *texts, "x"])[:-1].slice(1)], 500, (END_OF_TEXT,)).merges == trained
    file = tmp_path / "joined.txt"
    file.write_bytes(END_OF_TEXT.join(texts).encode())
    assert train_bpe([file], 500, (END_OF_TEXT,)).merges == trained
    monkeypatch.setattr("pipeline.tokenize.bpe._FILE_CHARACTERS", 7)
    monkeypatch.setattr("pipeline.tokenize.patterns._STREAM_CHARACTERS", 5)
    monkeypatch.setattr("pipeline.tokenize.pretokens._BLOCK_BYTES", 11)
    assert train_bpe([file], 500, (END_OF_TEXT,)).merges == trained


@pytest.mark.parametrize("pattern", [GPT2_PATTERN, CL100K_PATTERN, r"\p{L}+|\P{L}"], ids=("gpt2", "cl100k", "own"))
def test_counts_on_disk_are_exact(pattern: str) -> None:
    def as_dict(counted: PreTokens) -> dict[bytes, int]:
        words = [counted.data[a:b].tobytes() for a, b in pairwise(counted.offsets.tolist())]
        assert len(words) == len(set(words))
        return dict(zip(words, counted.counts.tolist(), strict=True))

    texts = fuzz(1500, seed=8) + corpus()
    expected = as_dict(count_pretokens(texts, pattern))
    with DiskSpill(60_000) as spill:
        last = count_pretokens(texts, pattern, spill)
        assert spill.taken > 3
        fitted = spill.fit(last)
    # What does not fit are the rarest: one count more would not fit either, and the share says how much text is left.
    kept = {word: count for word, count in expected.items() if count >= fitted.min_count}
    assert as_dict(fitted.pretokens) == kept
    assert sum(map(len, kept)) <= 60_000 // LEARNING_BYTES
    assert (
        sum(len(word) for word, count in expected.items() if count >= fitted.min_count - 1) > 60_000 // LEARNING_BYTES
    )
    whole = sum(len(word) * count for word, count in expected.items())
    assert fitted.share == sum(len(word) * count for word, count in kept.items()) / whole
    with DiskSpill(60_000) as spill:
        spill.memory, spill._budget = 20_000, 10**9
        fitted = spill.fit(count_pretokens(texts, pattern, spill))
        assert spill.taken > 3
    assert (fitted.min_count, fitted.share) == (1, 1.0)
    assert as_dict(fitted.pretokens) == expected


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_arrays_and_threads_count_alike(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str | None] = [*fuzz(800, seed=10), None, "", "x" * 5000, *corpus(), None]
    monkeypatch.setattr("pipeline.tokenize.pretokens._BLOCK_BYTES", 2000)
    whole = pa.array(texts, pa.large_string())
    items = [whole.slice(3, 200), pa.chunked_array([whole[203:].cast(pa.string()), pa.array([], pa.string())])]
    expected = train_bpe([text for text in texts[3:] if text], 600, (END_OF_TEXT,))
    assert train_bpe(items, 600, (END_OF_TEXT,), threads=threads).merges == expected.merges
    for memory in (10**7, 60_000):
        spilled = [
            train_bpe(items, 600, (END_OF_TEXT,), memory=memory, threads=count, note=lambda text: None)
            for count in (1, threads)
        ]
        assert spilled[0].merges == spilled[1].merges


def test_an_array_that_is_no_utf_8_is_refused() -> None:
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xe4\xbd"]).buffers())
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        train_bpe([wrong], 300)


def test_memory_that_suffices_changes_nothing() -> None:
    texts = corpus()
    notes: list[str] = []
    assert train_bpe(texts, 500, memory=10**7, note=notes.append).merges == train_bpe(texts, 500).merges
    assert notes == []
    small = train_bpe(texts, 300, memory=20_000, note=notes.append)
    assert small.merges
    assert "rarer ones are not learned from" in notes[0]
    with pytest.raises(UserError, match=r"tokenizer\.memory: 20 bytes are too few"):
        train_bpe(texts, 300, memory=20)


def test_special_tokens_are_borders_and_are_not_learned() -> None:
    trained = train_bpe([("ab" + END_OF_TEXT) * 50 + "ab"], 300, (END_OF_TEXT,))
    assert trained.merges == [(b"a", b"b")]
    assert trained.vocab[257] == END_OF_TEXT.encode()
    assert trained.end_of_text == 257


def test_training_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="vocab_size is 256; .* need 257"):
        train_bpe(["x"], 256, (END_OF_TEXT,))
    assert train_bpe(["xx"], 257, (END_OF_TEXT,)).merges == []
    with pytest.raises(UserError, match="missing.txt"):
        train_bpe([tmp_path / "missing.txt"], 300)
    with pytest.raises(TypeError, match="a list"):
        train_bpe("text", 300)


# Encoding


def test_encoding_equals_tiktoken_and_tokenizers(tokenizer: Tokenizer) -> None:
    texts = (
        fuzz(1500, seed=7) + corpus(seed=8) + ["", "a" * 5000, " " * 5000, "\n" * 3000 + "x", "中" * 5000, "1" * 500]
    )
    ids, offsets = tokenizer.encode_batch(texts)
    got = [ids[a:b].tolist() for a, b in pairwise(offsets)]
    assert (ids.dtype.name, offsets.dtype.name) == ("uint32", "int64")
    assert [tokenizer.encode(text, allow_special=False) for text in texts[:300]] == got[:300]
    peer = tokenizers.Tokenizer.from_str(tokenizer.to_json())
    peer.encode_special_tokens = True
    assert [peer.encode(text).ids for text in texts] == got
    if tokenizer.pattern != OWN_PATTERN:  # tiktoken loses what a pattern leaves unmatched
        assert as_tiktoken(tokenizer).encode_ordinary_batch(texts, num_threads=1) == got
    assert [tokenizer.decode(each) for each in got] == texts


def test_encoding_equals_the_slow_encoder(tokenizer: Tokenizer) -> None:
    for text in fuzz(20, seed=9) + list(SENTENCES[:3]):
        assert tokenizer.encode(text, allow_special=False) == slow_encode(tokenizer, text)


def test_pieces_and_threads_change_no_ids(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*fuzz(200, seed=10), None, "a\ud800b", "", "the fox " * 200, None]
    whole = tokenizer.encode_batch(texts)
    plain = [tokenizer.encode(text or "", allow_special=False) for text in texts]
    assert [whole[0][a:b].tolist() for a, b in pairwise(whole[1])] == plain
    monkeypatch.setattr(bpe, "_PIECE_CHARACTERS", 100)
    with ThreadPoolExecutor(3) as pool:
        for found in (tokenizer.encode_batch(texts), tokenizer.encode_batch(texts, pool)):
            assert [each.tolist() for each in found] == [each.tolist() for each in whole]


def test_encode_batch_takes_arrow_with_nulls_and_offsets(tokenizer: Tokenizer) -> None:
    texts = ["skipped", None, "the fox", "", "over"]
    for kind in (pa.string(), pa.large_string()):
        ids, offsets = tokenizer.encode_batch(pa.array(texts, kind).slice(1))
        assert offsets.tolist()[:2] == [0, 0]
        assert ids.tolist() == tokenizer.encode("the fox") + tokenizer.encode("over")
    ids, offsets = tokenizer.encode_batch([])
    assert (len(ids), offsets.tolist()) == (0, [0])


def test_a_document_cannot_forge_its_end(tokenizer: Tokenizer) -> None:
    text = f"a page{END_OF_TEXT}that forges"
    ordinary = tokenizer.encode(text, allow_special=False)
    assert tokenizer.end_of_text not in ordinary
    assert tokenizer.encode_batch([text])[0].tolist() == ordinary
    assert tokenizer.encode_batch(pa.array([text]))[0].tolist() == ordinary
    assert list(tokenizer.encode_stream([text[:9], text[9:]], allow_special=False)) == ordinary
    allowed = tokenizer.encode(text)
    assert list(tokenizer.encode_stream([text[:9], text[9:]])) == allowed
    assert allowed == [*tokenizer.encode("a page"), tokenizer.end_of_text, *tokenizer.encode("that forges")]
    assert allowed == tokenizers.Tokenizer.from_str(tokenizer.to_json()).encode(text).ids
    assert tokenizer.decode(allowed) == tokenizer.decode(ordinary) == text


def test_the_longest_special_token_wins() -> None:
    tokenizer = train_bpe(["x"], 259, ("<|a|>", "<|a|><|a|>"))
    assert tokenizer.encode("<|a|><|a|><|a|>") == [257, 256]
    assert list(tokenizer.encode_stream(iter("<|a|><|a|><|a|>"))) == [257, 256]


def test_some_special_tokens_are_allowed_as_in_tiktoken() -> None:
    tokenizer = train_bpe(["x"], 259, ("<|a|>", "<|b|>"))
    peer = as_tiktoken(tokenizer)
    text = "x<|a|>x<|b|>"
    for allowed in (set(), {"<|a|>"}, {"<|b|>"}, {"<|a|>", "<|b|>"}):
        assert tokenizer.encode(text, allow_special=allowed) == peer.encode(
            text, allowed_special=allowed, disallowed_special=()
        )
    with pytest.raises(
        UserError, match=r"'<\|c\|>' is not a special token of this tokenizer.*it has: <\|a\|>, <\|b\|>"
    ):
        tokenizer.encode(text, allow_special={"<|c|>"})
    with pytest.raises(TypeError, match=r"allow_special must be a list .* give a list: \[token\]"):
        tokenizer.encode(text, allow_special="<|a|>")


def test_the_length_is_the_number_of_tokens() -> None:
    tokenizer = train_bpe(["the the"], 260, (END_OF_TEXT,))
    size = tokenizers.Tokenizer.from_str(tokenizer.to_json()).get_vocab_size()
    assert len(tokenizer) == size == tokenizer.vocab_size
    gaps = Tokenizer(tokenizer.vocab | {1000: b"thethe"}, tokenizer.merges, (END_OF_TEXT,))
    assert (len(gaps), gaps.vocab_size) == (len(tokenizer) + 1, 1001)


BAD_SPECIALS: list[tuple[Any, type[Exception], str]] = [
    (["<a>", "<a>"], UserError, "the special token '<a>' is given twice"),
    ([""], UserError, "it is empty"),
    (["x"], UserError, "'x' cannot be a special token: it is an ordinary token of the vocabulary"),
    (["\u0120"], UserError, "is how tokenizer.json spells an ordinary token"),
    (["\ud800"], UserError, "lone surrogate"),
    ([3], TypeError, "a special token must be a string, not an int"),
    ([b"<a>"], TypeError, "not bytes"),
    (None, TypeError, "special_tokens must be a list of special tokens, not None"),
    ("<a>", TypeError, r"not one string; give a list: \[token\]"),
    ({"<a>": 256}, TypeError, "not a dict"),
]


@pytest.mark.parametrize(("tokens", "kind", "message"), BAD_SPECIALS, ids=lambda value: str(value)[:20])
def test_bad_special_tokens_are_refused_before_any_work(
    tokens: Any, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    def texts() -> Iterator[str]:
        raise AssertionError("a text was read")
        yield ""

    with pytest.raises(kind, match=message):
        train_bpe(texts(), 300, tokens)
    with pytest.raises(kind, match=message):
        Tokenizer(dict(enumerate(bytes([value]) for value in range(256))), [], tokens)
    with pytest.raises(kind, match=message):
        Tokenizer.from_file(train_bpe(["a"], 256).save(tmp_path), special_tokens=tokens)


def test_a_file_gets_the_special_tokens_that_it_lacks(tmp_path: Path) -> None:
    file = train_bpe(["a"], 257, (END_OF_TEXT,)).save(tmp_path)
    assert Tokenizer.from_file(file, special_tokens=["<pad>", END_OF_TEXT]).special_tokens == {
        END_OF_TEXT: 256,
        "<pad>": 257,
    }


def test_lone_surrogates_become_replacement_characters(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("a\ud800b") == tokenizer.encode("a\ufffdb")
    assert tokenizer.encode("\ud83d\ude00") == tokenizer.encode("😀")
    assert tokenizer.encode_batch(["x", "a\ud800b"])[0].tolist() == tokenizer.encode("x") + tokenizer.encode("a\ufffdb")


def test_bytes_that_are_no_text_decode_to_replacement_characters(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode([0xC3]) == "\ufffd"
    assert tokenizer.decode_bytes([0xC3, 0xA9]) == "é".encode()


@pytest.mark.parametrize("allow_special", [False, True])
def test_a_stream_equals_the_whole(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, allow_special: bool) -> None:
    rng = random.Random(11)
    for held in (1, 4, 40):
        monkeypatch.setattr("pipeline.tokenize.patterns._STREAM_CHARACTERS", held)
        for text in fuzz(60, seed=12) + corpus(seed=13)[:4]:
            cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 40)))
            chunks = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
            whole = tokenizer.encode(text, allow_special=allow_special)
            assert list(tokenizer.encode_stream(chunks, allow_special=allow_special)) == whole


def test_a_stream_holds_little(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = train_bpe(corpus(), 400)
    longest = 0
    encode = Tokenizer.encode

    def watched(self: Tokenizer, text: str, **options: Any) -> list[int]:
        nonlocal longest
        longest = max(longest, len(text))
        return encode(self, text, **options)

    monkeypatch.setattr(Tokenizer, "encode", watched)
    monkeypatch.setattr("pipeline.tokenize.patterns._STREAM_CHARACTERS", 1000)
    assert sum(1 for _ in tokenizer.encode_stream(["The fox, and so on. "] * 2000)) > 10_000
    assert longest < 2500


# Files


def test_transformers_and_tokenizers_load_what_is_saved(tokenizer: Tokenizer, tmp_path: Path) -> None:
    file = tokenizer.save(tmp_path)
    assert file == tmp_path / "tokenizer.json"
    assert tokenizer.save(tmp_path / "again" / "tokenizer.json").read_bytes() == file.read_bytes()
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path)
    plain = tokenizers.Tokenizer.from_file(str(file))
    for text in (*SENTENCES, f"one{END_OF_TEXT}two  {END_OF_TEXT} three"):
        expected = tokenizer.encode(text, allow_special=True)
        assert auto(text)["input_ids"] == expected
        assert plain.encode(text).ids == expected
        assert auto.decode(expected) == text
    assert auto.eos_token_id == tokenizer.end_of_text


def test_a_llama_config_beside_it_does_not_change_the_ids(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    transformers.LlamaConfig(vocab_size=tokenizer.vocab_size).save_pretrained(tmp_path)
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in SENTENCES:
        assert auto(text)["input_ids"] == tokenizer.encode(text)


def test_from_file_gives_back_what_was_saved(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    loaded = Tokenizer.from_file(tmp_path)
    for name in ("vocab", "merges", "special_tokens", "pattern", "vocab_size", "sha256"):
        assert getattr(loaded, name) == getattr(tokenizer, name), name


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("model", "byte_fallback"), True, "byte_fallback"),
        (("model", "type"), "WordPiece", "BPE"),
        (("normalizer",), {"type": "NFC"}, "normalizer"),
        (("pre_tokenizer",), {"type": "Whitespace"}, "ByteLevel"),
        (("pre_tokenizer", "add_prefix_space"), True, "prefix"),
        (("post_processor",), {"type": "TemplateProcessing"}, "post_processor"),
        (("model", "vocab"), {"a": 0}, "lacks"),
        (("model",), {}, "tokenizer.json"),
    ],
)
def test_from_file_refuses_what_it_would_encode_differently(
    tmp_path: Path, path: tuple[str, ...], value: object, message: str
) -> None:
    file = train_bpe(["the the"], 260, (END_OF_TEXT,)).save(tmp_path)
    description = json.loads(file.read_text())
    inner = description
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(description))
    with pytest.raises(UserError, match=message):
        Tokenizer.from_file(file)


def test_from_file_names_a_missing_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tokenizer\.json: No such file"):
        Tokenizer.from_file(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer\.json: not a"):
        Tokenizer.from_file(tmp_path)


def test_a_given_vocabulary_in_any_order_of_ids() -> None:
    vocab = {1000 - value: bytes([value]) for value in range(256)} | {5: b"th", 6: b"the", 7: END_OF_TEXT.encode()}
    tokenizer = Tokenizer(vocab, [(b"t", b"h"), (b"th", b"e")], (END_OF_TEXT, "<|pad|>"))
    assert tokenizer.encode("the th") == [6, 1000 - 32, 5]
    assert tokenizer.special_tokens == {END_OF_TEXT: 7, "<|pad|>": 1001}
    assert tokenizer.vocab_size == 1002
    assert tokenizers.Tokenizer.from_str(tokenizer.to_json()).encode(f"the{END_OF_TEXT}").ids == [6, 7]


def test_rank_files_are_read(tmp_path: Path) -> None:
    for name, pattern in (("gpt2", GPT2_PATTERN), ("cl100k", CL100K_PATTERN)):
        trained = train_bpe(corpus(), 600, pattern=pattern)
        order = random.Random(0).sample(range(256), 256)  # tiktoken's bytes are in no order of values
        vocab = {rank: bytes([value]) for rank, value in enumerate(order)}
        vocab |= {number: token for number, token in trained.vocab.items() if number > 255}
        file = tmp_path / f"{name}.tiktoken"
        file.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in vocab.items()))
        loaded = Tokenizer.from_file(file, pattern=pattern, special_tokens=(END_OF_TEXT,))
        assert loaded.vocab == vocab | {600: END_OF_TEXT.encode()}
        assert loaded.merges == trained.merges
        texts = fuzz(300, seed=14) + corpus(seed=15)
        ids, offsets = loaded.encode_batch(texts)
        oracle = as_tiktoken(loaded)
        assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == oracle.encode_ordinary_batch(texts, num_threads=1)


def test_rank_files_that_are_none(tmp_path: Path) -> None:
    file = tmp_path / "x.tiktoken"
    with pytest.raises(UserError, match="x.tiktoken: No such file"):
        Tokenizer.from_file(file, pattern=GPT2_PATTERN)
    lines = [base64.b64encode(bytes([value])) + b" %d" % value for value in range(256)]
    for more, message in (
        (b"YWI 256", "line 257 is not"),
        (b"YWI= x", "line 257 is not"),
        (b"YWI=", "line 257 is not"),
        (base64.b64encode(b"abc") + b" 256", "b'abc' of rank 256 is not made of two tokens"),
    ):
        file.write_bytes(b"\n".join([*lines, more]))
        with pytest.raises(UserError, match=message):
            Tokenizer.from_file(file, pattern=GPT2_PATTERN)
    with pytest.raises(UserError, match="does not name its pattern"):
        Tokenizer.from_file(file)


def test_a_bad_vocabulary_is_refused() -> None:
    vocab = {value: bytes([value]) for value in range(256)}
    with pytest.raises(UserError, match="lacks b'th'"):
        Tokenizer(vocab, [(b"t", b"h")])
    with pytest.raises(UserError, match="two ids"):
        Tokenizer(vocab | {256: b"a"}, [])
    with pytest.raises(UserError, match="'a' cannot be"):
        Tokenizer(vocab, [], ("a",))
    with pytest.raises(UserError, match="spells"):
        Tokenizer(vocab, [], ("Ġ",))


def test_usage_by_language_longest_and_unused_tokens() -> None:
    tokenizer = train_bpe(["the the then"], 259, (END_OF_TEXT,))
    texts, codes = ["the", "é then", None, "x"], ["en", "fr", "en", None]
    batches = [
        (pa.array(texts[a:b], pa.string()), pa.array(codes[a:b], pa.string())) for a, b in ((0, 2), (2, 4), (4, 4))
    ]
    told = measure(tokenizer, iter(batches))
    sizes = {text: len(tokenizer.encode(text)) for text in texts if text}
    tokens = sum(sizes.values())
    assert [told[key] for key in ("documents", "tokens", "bytes", "vocab_size")] == [4, tokens, 11, 259]
    assert told["bytes_per_token"] == 11 / tokens
    assert told["languages"] == {
        "fr": {"documents": 1, "tokens": sizes["é then"], "bytes": 7, "bytes_per_token": 7 / sizes["é then"]},
        "en": {"documents": 2, "tokens": sizes["the"], "bytes": 3, "bytes_per_token": 3 / sizes["the"]},
        "unknown": {"documents": 1, "tokens": 1, "bytes": 1, "bytes_per_token": 1.0},
    }
    assert list(told["languages"]) == ["fr", "en", "unknown"]
    used = {number for text in sizes for number in tokenizer.encode(text)}
    assert told["unused"]["count"] == 258 - len(used)
    assert [entry["id"] for entry in told["unused"]["first"]] == sorted(set(range(258)) - used)[:20]
    assert told["unused"]["first"][0] == {"id": 0, "token": "\x00", "bytes": 1, "count": 0}
    longest = tokenizer.vocab[257].decode()
    assert told["longest"][0] == {"id": 257, "token": longest, "bytes": len(longest), "count": 2}
    empty = measure(tokenizer, [])
    assert (empty["tokens"], empty["bytes_per_token"], empty["languages"]) == (0, None, {})


def test_a_tokenizer_can_be_sent_to_a_worker(tokenizer: Tokenizer) -> None:
    tokenizer.encode("build the engine first")
    sent = pickle.loads(pickle.dumps(tokenizer))
    assert sent.to_json() == tokenizer.to_json()
    assert sent.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])


def test_a_text_of_one_letter_trains_and_encodes() -> None:
    """Its tokens grow to the length of the text, which the fast engine would take hours to load."""
    text = "x" * 300_000
    tokenizer = train_bpe([text, "the end"], 300)
    assert max(map(len, tokenizer.vocab.values())) == 300_000
    assert len(tokenizer.encode(text)) == 1
    ids = tokenizer.encode(text + "xx end")
    assert tokenizer.decode(ids) == text + "xx end"


def test_both_engines_give_the_same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["x" * 1000 + " the end", "the xxx end", ""]
    fast = train_bpe(texts, 290)
    ids, bounds = fast.encode_batch(texts)
    monkeypatch.setattr(bpe, "_FAST_TOKEN_BYTES", 1)
    other = Tokenizer(fast.vocab, fast.merges, list(fast.special_tokens))
    other_ids, other_bounds = other.encode_batch(texts)
    assert (fast._has_fast_engine, other._has_fast_engine) == (True, False)
    assert ids.tolist() == other_ids.tolist()
    assert bounds.tolist() == other_bounds.tolist()


# The patterns of tiktoken 0.14.0 (openai_public.py).
TIKTOKEN_CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
TIKTOKEN_R50K = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"


@pytest.mark.parametrize("pattern", [TIKTOKEN_CL100K, TIKTOKEN_R50K], ids=("cl100k", "r50k"))
def test_patterns_of_tiktoken_give_its_ids(pattern: str) -> None:
    classes = {unicodedata.category(chr(number)): chr(number) for number in range(0x3000, 0x20, -1)}
    del classes["Cn"]
    texts = ["2026", "12345678 years", "a\n  ", "a \n", "\n\n b\r\n ", "IT'LL it's", " \t", "?!\n\n"]
    texts += [f"a{front}{back}1{back} " for front in classes.values() for back in classes.values()]
    tokenizer = train_bpe(texts * 3, 600, pattern=pattern)
    peer = tiktoken.Encoding(
        "x", pat_str=pattern, mergeable_ranks={token: n for n, token in tokenizer.vocab.items()}, special_tokens={}
    )
    for text in texts:
        assert tokenizer.encode(text) == peer.encode(text), text
    assert list(split("2026\n  ", tokenizer.pattern)) == list(regex.findall(pattern, "2026\n  "))
    assert portable(tokenizer.pattern) == tokenizer.pattern


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\p{N}{1,3}+|\D+", "'2026'"),  # Oniguruma: one or more times
        (r"\s+$|\S+|\s", r"'2026 \n \n b'"),  # Oniguruma: the end of a line
        (r"\w+|\W", "'a\u00b2'"),  # regex: \w has more numbers
    ],
    ids=("possessive", "end", "word"),
)
def test_patterns_that_engines_read_differently_are_refused_with_the_mend(pattern: str, text: str) -> None:
    message = re.escape(f"cuts {text} differently in training and in encoding; write x+ for x++, {{1,3}} for {{1,3}}+")
    with pytest.raises(UserError, match=message):
        train_bpe(["a"], 257, pattern=pattern)
    with pytest.raises(UserError, match=message):
        Tokenizer(dict(enumerate(bytes([value]) for value in range(256))), [], pattern=pattern)
    with pytest.raises(UserError, match="cannot be read"):
        train_bpe(["a"], 257, pattern="(")


def test_a_file_means_what_tokenizers_reads_in_it(tmp_path: Path) -> None:
    tokenizer = train_bpe(["2026 2026 2026"], 300, pattern=r"\p{N}+|\P{N}+")
    file = tokenizer.save(tmp_path)
    file.write_text(file.read_text("utf-8").replace(r"\\p{N}+", r"\\p{N}{1,3}+"), "utf-8")
    for read in (Tokenizer.from_file(file), pickle.loads(pickle.dumps(Tokenizer.from_file(file)))):
        assert r"{1,3}+" in read.pattern
        assert read.encode("2026") == tokenizers.Tokenizer.from_file(str(file)).encode("2026").ids


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: [],
        lambda d: d | {"model": None},
        lambda d: d | {"model": []},
        lambda d: d | {"added_tokens": 7},
        lambda d: d | {"added_tokens": [7]},
        lambda d: d | {"added_tokens": [{"content": "x"}]},
        lambda d: d | {"added_tokens": [{"content": 7, "id": 300}]},
        lambda d: d | {"added_tokens": [{"content": "x", "id": "300"}]},
        lambda d: d | {"added_tokens": [{"content": "x", "id": None}]},
        lambda d: d | {"added_tokens": [{"content": "x", "id": []}]},
        lambda d: d | {"added_tokens": [{"content": "x", "id": 4_000_000_000}]},
        lambda d: d | {"added_tokens": [{"content": "x", "id": 1 << 24}]},
        lambda d: d | {"pre_tokenizer": 7},
        lambda d: d | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": 7}},
        lambda d: d | {"model": d["model"] | {"vocab": []}},
        lambda d: d | {"model": d["model"] | {"vocab": d["model"]["vocab"] | {"zz": -1}}},
        lambda d: d | {"model": d["model"] | {"vocab": d["model"]["vocab"] | {"zz": True}}},
        lambda d: d | {"model": d["model"] | {"vocab": d["model"]["vocab"] | {"zz": 300.0}}},
        lambda d: d | {"model": d["model"] | {"vocab": d["model"]["vocab"] | {"zz": "300"}}},
        lambda d: d | {"model": d["model"] | {"vocab": d["model"]["vocab"] | {"zz": 4_000_000_000}}},
        lambda d: d | {"model": d["model"] | {"merges": 7}},
        lambda d: d | {"model": d["model"] | {"merges": [7]}},
        lambda d: d | {"model": d["model"] | {"merges": [["a"]]}},
        lambda d: d | {"model": d["model"] | {"merges": [["a", 7]]}},
        lambda d: d | {"model": d["model"] | {"merges": ["a b c"]}},
        lambda d: d | {"model": d["model"] | {"merges": [["a", "zzz"]]}},
        lambda d: "[" * 200_000,
        lambda d: b"\xff\xfe",
    ],
)
def test_a_malformed_tokenizer_is_refused_by_name(tmp_path: Path, harm: Callable[[dict[str, Any]], Any]) -> None:
    file = tmp_path / "tokenizer.json"
    train_bpe(["a word or two"], 258, (END_OF_TEXT,)).save(file)
    harmed = harm(json.loads(file.read_text()))
    file.write_bytes(
        harmed if isinstance(harmed, bytes) else (harmed if isinstance(harmed, str) else json.dumps(harmed)).encode()
    )
    with pytest.raises(UserError, match="tokenizer.json|the vocabulary lacks"):
        Tokenizer.from_file(file)


def test_patterns_by_name_are_the_published_ones() -> None:
    constants = {part for part in tiktoken_ext.openai_public.o200k_base.__code__.co_consts if isinstance(part, tuple)}
    parts = next(part for part in constants if r"\p{N}{1,3}" in part)
    assert "|".join(parts) == NAMED["o200k"]
    from transformers.convert_slow_tokenizer import TikTokenConverter
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    assert NAMED["qwen2"] == PRETOKENIZE_REGEX
    llama3 = inspect.signature(TikTokenConverter.__init__).parameters["pattern"].default
    assert llama3 == NAMED["llama3"]


@pytest.mark.parametrize("name", NAMED)
def test_patterns_by_name_give_the_ids_of_tiktoken_and_tokenizers(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _check_engines(NAMED[name])  # not checked again when it is used
    texts = (
        fuzz(150, seed=21)
        + corpus(seed=22)[:4]
        + ["HTTPServer's IT'LL 2026/\n\n", "a//\n/b", "\u01c5a\u0301B", "1234567"]
    )
    tokenizer = train_bpe(texts, 400, ["<|end|>"], pattern=name)
    peer, ranked = tokenizers.Tokenizer.from_str(tokenizer.to_json()), as_tiktoken(tokenizer)
    ids, offsets = tokenizer.encode_batch(texts)
    monkeypatch.setattr("pipeline.tokenize.patterns._STREAM_CHARACTERS", 4)
    for text, a, b in zip(texts, offsets, offsets[1:], strict=False):
        expected = ids[a:b].tolist()
        assert ranked.encode_ordinary(text) == expected
        assert list(tokenizer.encode_stream(iter(text), allow_special=False)) == expected
        peer.encode_special_tokens = True
        assert peer.encode(text).ids == expected
    assert Tokenizer.from_file(tokenizer.save(tmp_path)).sha256 == tokenizer.sha256


def test_an_unknown_name_of_a_pattern_is_told() -> None:
    with pytest.raises(
        UserError, match=r"'o2000k': no published pattern has this name \(did you mean o200k\?\); known: gpt2"
    ):
        train_bpe(["a"], 257, pattern="o2000k")


# DeepSeek-V3's tokenizer.json: an empty normalizer, and three cuts, each of the pieces of the one before.
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+"""
    r"|\s+(?!\S)|\s+",
)


@pytest.fixture
def deepseek(tmp_path: Path) -> Path:
    """A file of that shape."""
    file = train_bpe(corpus(), 900, (END_OF_TEXT,), "cl100k").save(tmp_path)
    description = json.loads(file.read_text("utf-8"))
    *_, last = description["pre_tokenizer"]["pretokenizers"]
    cuts = [{"type": "Split", "pattern": {"Regex": cut}, "behavior": "Isolated", "invert": False} for cut in DEEPSEEK]
    description["normalizer"] = {"type": "Sequence", "normalizers": []}
    description["pre_tokenizer"]["pretokenizers"] = [*cuts, last]
    file.write_text(json.dumps(description), "utf-8")
    return file


def test_a_file_that_cuts_several_times_gives_the_ids_of_tokenizers(deepseek: Path, tmp_path: Path) -> None:
    peer = tokenizers.Tokenizer.from_file(str(deepseek))
    loaded = Tokenizer.from_file(deepseek)
    assert (*loaded.earlier_patterns, loaded.pattern) == DEEPSEEK
    again = Tokenizer.from_file(loaded.save(tmp_path / "again"))
    sent = pickle.loads(pickle.dumps(loaded))
    assert again.sha256 == sent.sha256 == loaded.sha256
    one_cut = Tokenizer.from_file(train_bpe(corpus(), 900, (END_OF_TEXT,), "cl100k").save(tmp_path / "cl100k"))
    texts = [*fuzz(300, seed=31), *corpus(seed=32)[:4], "12345 \u72d0\u72f8\u3044x 2026", "a.b_c\n\n"]
    for text in texts:
        expected = peer.encode(text).ids
        assert loaded.encode(text) == again.encode(text) == sent.encode(text) == expected
        assert list(loaded.encode_stream(iter(text))) == expected
        assert loaded.decode(expected) == text
    assert any(one_cut.encode(text) != loaded.encode(text) for text in texts)
    ids, bounds = loaded.encode_batch(texts[:50])
    assert [ids[a:b].tolist() for a, b in pairwise(bounds)] == [
        loaded.encode(t, allow_special=False) for t in texts[:50]
    ]


@pytest.mark.parametrize(
    ("change", "value", "message"),
    [
        ("behavior", "Removed", "only Splits"),
        ("invert", True, "only Splits"),
        ("pattern", {"String": " "}, "only Splits"),
        ("type", "Digits", "only Splits"),
    ],
)
def test_another_kind_of_cut_is_refused_in_one_line(deepseek: Path, change: str, value: Any, message: str) -> None:
    description = json.loads(deepseek.read_text("utf-8"))
    description["pre_tokenizer"]["pretokenizers"][1][change] = value
    deepseek.write_text(json.dumps(description), "utf-8")
    with pytest.raises(UserError, match=f"not a tokenizer.json of byte-level BPE as it is read here: {message}"):
        Tokenizer.from_file(deepseek)
