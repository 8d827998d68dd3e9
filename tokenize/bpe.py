"""Byte-level BPE: training on text, encoding, reading and writing `tokenizer.json`.

`fastokens` encodes with the patterns of GPT-2 and GPT-4, `tokenizers` with any other: fastokens' general regular expressions
follow an older Unicode (where U+180E is white space), it needs ids without gaps, and it loads long tokens slowly.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.arguments import (
    at_least,
    each_text,
    kind_of,
    mend_for,
    not_a_file,
    not_one,
    one_text,
    one_whole_number,
    text_array,
    warn_caller,
    whole_numbers,
)
from pipeline.errors import UserError, did_you_mean
from pipeline.files import write_text
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN, portable, recut
from pipeline.tokenize.tiktoken_ranks import merges_of, read_ranks

END_OF_TEXT = "<|endoftext|>"

_LARGEST_ID = (1 << 24) - 1
"""Of a tokenizer.json: the largest vocabularies have some 300,000 ids, and memory is taken for each id up to the largest."""
_FILE_CHARACTERS = 1 << 22
_PIECE_CHARACTERS = 1 << 20
_FAST_TOKEN_BYTES = 2048  # fastokens takes quadratic time to load a token: a second at 10 kB, hours at 1 MB


class Tokenizer:
    """A vocabulary with its merges, and the two directions: text to ids, ids to text.

    `vocab` maps ids to byte strings, including all 256 bytes and the result of every merge; a special token not in it gets
    the next free id. `merges` are in order of priority. The ids are the same as in `tokenizers`, `transformers` and tiktoken.
    """

    def __init__(
        self,
        vocab: dict[int, bytes],
        merges: list[tuple[bytes, bytes]],
        special_tokens: Sequence[str] = (),
        pattern: str = GPT2_PATTERN,
    ) -> None:
        """UserError if a byte or the result of a merge is missing, an entry is repeated, or a special token is ordinary too.

        Also for a pattern that training and encoding would read differently. `pattern` is a regular expression, of which
        tiktoken's own are taken for what they mean, or a name in PATTERNS. TypeError for arguments of other types.
        """
        tokens = checked_special_tokens(special_tokens)
        _check_types(vocab, merges)
        self.vocab = dict(vocab)
        self.merges = list(merges)
        self.pattern = portable(pattern)
        self.earlier_patterns: tuple[str, ...] = ()  # of a file that cuts several times: each piece is cut by the next
        ids = {token: number for number, token in self.vocab.items()}
        if len(ids) < len(self.vocab):
            raise UserError("the vocabulary gives two ids to one byte string")
        ordinary = {bytes([value]) for value in range(256)} | {left + right for left, right in self.merges}
        for token in ordinary | {part for merge in self.merges for part in merge}:
            if token not in ids:
                raise UserError(
                    f"the vocabulary lacks {token!r}; it must have all 256 bytes and the result of every merge"
                )
        self.special_tokens: dict[str, int] = {}
        for text in tokens:
            token = text.encode()
            if token in ordinary:
                raise UserError(f"{text!r} cannot be a special token: it is an ordinary token of the vocabulary")
            if token not in ids:
                ids[token] = max(self.vocab) + 1
                self.vocab[ids[token]] = token
            self.special_tokens[text] = ids[token]
        special_ids = set(self.special_tokens.values())
        spelled = {_spell(token) for number, token in self.vocab.items() if number not in special_ids}
        if clash := spelled & set(self.special_tokens):
            raise UserError(f"special token {min(clash)!r} is how tokenizer.json spells an ordinary token")

    def __reduce__(self) -> tuple[Any, ...]:
        patterns = (*self.earlier_patterns, self.pattern)
        return _with_patterns, (self.vocab, self.merges, list(self.special_tokens), patterns)

    def __len__(self) -> int:
        """The number of tokens, special ones included; `vocab_size` where the ids have no gaps."""
        return len(self.vocab)

    @property
    def vocab_size(self) -> int:
        """The largest id plus one."""
        return max(self.vocab) + 1

    @property
    def end_of_text(self) -> int:
        """The id of `<|endoftext|>`; UserError without one."""
        if END_OF_TEXT not in self.special_tokens:
            raise UserError(f"the tokenizer has no special token {END_OF_TEXT}")
        return self.special_tokens[END_OF_TEXT]

    @cached_property
    def token_bytes(self) -> np.ndarray:
        """UTF-8 bytes of each id, int64 (vocab_size,); 0 for special tokens, which are not text."""
        sizes = np.zeros(self.vocab_size, np.int64)
        for number, token in self.vocab.items():
            sizes[number] = len(token)
        sizes[list(self.special_tokens.values())] = 0
        return sizes

    # Text to ids

    def encode(self, text: str, *, allow_special: bool | Collection[str] = True) -> list[int]:
        """The ids of a text. A special token in it, such as `<|endoftext|>`, becomes its id, as in `tokenizers`.

        `allow_special` may name the special tokens for which this holds, as tiktoken's `allowed_special` does; the others are
        plain text. With False, for text that is not your own, all are. Lone surrogates, which UTF-8 cannot represent, become
        U+FFFD. TypeError for anything but a string, UserError for a name that is not a special token.
        """
        one_text(text)
        specials = self._allowed(allow_special)
        if not specials:
            return self._encode_plain(text)
        parts = _special_pattern(specials).split(text)
        ids: list[int] = []
        for plain, special in zip(parts[::2], [*parts[1::2], None], strict=True):
            ids += self._encode_plain(plain)
            if special is not None:
                ids.append(self.special_tokens[special])
        return ids

    def _allowed(self, allow_special: bool | Collection[str]) -> tuple[str, ...]:
        if isinstance(allow_special, bool):
            return tuple(self.special_tokens) if allow_special else ()
        not_one(allow_special, "allow_special", "special tokens", "token")
        for name in allow_special:
            if name not in self.special_tokens:
                known = ", ".join(self.special_tokens) or "none"
                near = did_you_mean(str(name), self.special_tokens)
                raise UserError(
                    f"allow_special: {name!r} is not a special token of this tokenizer{near}; it has: {known}"
                )
        return tuple(allow_special)

    def _encode_plain(self, text: str) -> list[int]:
        try:
            return list(self._engine.encode(text).ids)
        except (UnicodeEncodeError, TypeError):
            return list(self._engine.encode(_without_surrogates(text)).ids)

    def encode_batch(
        self, texts: "pa.Array | Sequence[str | None]", pool: ThreadPoolExecutor | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ids of many documents: uint32 ids, and int64 offsets, one more than texts.

        Special tokens in them are plain text, so that no document can forge one; nulls are empty texts. With a pool, its
        threads encode about a megabyte at a time; reuse the pool, since each thread caches what it has encoded. fastokens also
        has threads of its own; set their number to 1 with FASTOKENS_BPE_THREADS when you use a pool.
        """
        is_arrow = isinstance(texts, pa.Array | pa.ChunkedArray)
        listed: Iterable[str | None] = text_array(texts).to_pylist() if is_arrow else each_text(texts)
        plain = [text or "" for text in listed]
        if self._has_fast_engine:
            run = map if pool is None else pool.map
            encoded = list(run(partial(_encode_piece, self._engine), _pieces(plain)))
        else:
            encoded_texts = [np.array(self._encode_plain(text), np.uint32) for text in plain]
            encoded = [(ids, np.array([len(ids)], np.int64)) for ids in encoded_texts]
        bounds = np.zeros(len(plain) + 1, np.int64)
        if encoded:
            np.cumsum(np.concatenate([sizes for _, sizes in encoded]), out=bounds[1:])
        return np.concatenate([np.empty(0, np.uint32), *(ids for ids, _ in encoded)]), bounds

    def encode_stream(self, chunks: Iterable[str], *, allow_special: bool | Collection[str] = True) -> Iterator[int]:
        """The ids of the chunks' text, however it is cut into chunks, a few tens of thousands of characters at a time.

        `allow_special` and the errors are as in `encode`.
        A longer stretch without a letter or digit before ASCII white space or punctuation is held in memory as a whole. So is
        all text if the pattern is not a published one, because safe places to cut are then unknown.
        """
        not_one(chunks, "chunks")
        specials = self._allowed(allow_special)
        pattern = "" if self.earlier_patterns else self.pattern  # safe places to cut are known for one pattern
        texts = recut((one_text(chunk, "chunk") for chunk in chunks), pattern, specials)
        return (number for text in texts for number in self.encode(text, allow_special=specials))

    # Ids to text

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of the ids. ValueError for an unknown id, TypeError for anything but integers."""
        if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
            whole_numbers(ids, "ids")
        listed, vocab = list(ids), self.vocab
        try:
            return b"".join([vocab[index(number)] for number in listed])
        except KeyError as error:
            unknown = error.args[0]
            raise ValueError(f"{unknown} is not an id of this tokenizer; its ids are below {self.vocab_size}") from None
        except TypeError:
            whole_numbers(listed, "ids")
            raise

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; invalid UTF-8 becomes U+FFFD. Errors as in `decode_bytes`."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    # On disk

    def to_json(self) -> str:
        """The content of `tokenizer.json`; equal tokenizers give equal bytes."""
        return json.dumps(self._description(), ensure_ascii=False, separators=(",", ":")) + "\n"

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of `tokenizer.json`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write `tokenizer.json` (to this path, or into a directory) and, beside it, the config that `transformers` needs.

        There, end-of-text is eos and pad, and there is no bos, as in shards. Mask padding by position, not by its id: the
        end-of-text of a document has the same id and is to be learned.
        """
        file = _json_path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"clean_up_tokenization_spaces": False, "tokenizer_class": "PreTrainedTokenizerFast"}
        if END_OF_TEXT in self.special_tokens:
            config |= {"eos_token": END_OF_TEXT, "pad_token": END_OF_TEXT}
        write_text(file.with_name("tokenizer_config.json"), json.dumps(config, indent=2, sort_keys=True) + "\n")
        write_text(file, self.to_json())
        return file

    @staticmethod
    def from_file(path: str | Path, *, pattern: str | None = None, special_tokens: Sequence[str] = ()) -> "Tokenizer":
        """Read a byte-level BPE `tokenizer.json` (or its directory); UserError for one that would encode differently here.

        A `.tiktoken` file has tiktoken's ranks, without pattern and special tokens: give `pattern` ("gpt2" for gpt2 to
        p50k_base, "cl100k" for cl100k_base, "o200k" for o200k_base). `special_tokens` that the file does not have get the next
        free ids.
        """
        new_tokens = checked_special_tokens(special_tokens)
        if Path(path).suffix == ".tiktoken":
            if pattern is None:
                raise UserError(f"{path}: a rank file does not name its pattern; give its pattern")
            ranks = read_ranks(Path(path))
            return Tokenizer(ranks, merges_of(ranks), new_tokens, pattern)
        file = _json_path(path)
        try:
            description = json.loads(file.read_text("utf-8"))
            patterns = _patterns_of(description)
            model = description["model"]
            added = {entry["content"]: entry["id"] for entry in description.get("added_tokens") or []}
            merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
            vocab = {number: _unspell(token) for token, number in model["vocab"].items() if token not in added}
            pairs = [(_unspell(left), _unspell(right)) for left, right in merges]
            vocab |= {number: content.encode() for content, number in added.items()}
            for number in vocab:
                if type(number) is not int or not 0 <= number <= _LARGEST_ID:
                    raise ValueError(f"an id is {number!r}; they are whole numbers from 0 to {_LARGEST_ID:,}")
        except OSError as error:
            raise UserError(f"{file}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            said = str(error) if isinstance(error, ValueError) else repr(error)
            raise UserError(f"{file}: not a tokenizer.json of byte-level BPE as it is read here: {said}") from error
        return _with_patterns(vocab, pairs, list(dict.fromkeys([*added, *new_tokens])), patterns)

    # Internals

    @cached_property
    def _has_fast_engine(self) -> bool:
        if self.earlier_patterns or max(map(len, self.vocab.values())) > _FAST_TOKEN_BYTES:
            return False
        return self.pattern in (GPT2_PATTERN, CL100K_PATTERN) and len(self.vocab) == self.vocab_size

    @cached_property
    def _engine(self) -> Any:
        """The encoder. It has no special tokens, so a document cannot forge one."""
        description = self._description() | {"added_tokens": []}
        # Both engines also read merges in this older form, and read it faster.
        description["model"]["merges"] = [" ".join(merge) for merge in description["model"]["merges"]]
        text = json.dumps(description, ensure_ascii=False)
        # Imported here, because only encoding needs an engine.
        if self._has_fast_engine:
            import fastokens

            return fastokens.Tokenizer.from_json_str(text)
        import tokenizers

        return tokenizers.Tokenizer.from_str(text)

    def _description(self) -> dict[str, Any]:
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
        pre_tokenizer: dict[str, Any] = byte_level
        if self.earlier_patterns or self.pattern != GPT2_PATTERN:
            cuts = [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
                for pattern in (*self.earlier_patterns, self.pattern)
            ]
            pre_tokenizer = {"type": "Sequence", "pretokenizers": [*cuts, byte_level | {"use_regex": False}]}
        special_ids = {number: text for text, number in self.special_tokens.items()}
        spelled = {token: _spell(token) for token in self.vocab.values()}
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": number, "content": text} | flags for number, text in sorted(special_ids.items())],
            "normalizer": None,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {special_ids.get(i) or spelled[token]: i for i, token in sorted(self.vocab.items())},
                "merges": [[spelled[left], spelled[right]] for left, right in self.merges],
            },
        }


def _with_patterns(
    vocab: dict[int, bytes], merges: list[tuple[bytes, bytes]], special_tokens: Sequence[str], patterns: Sequence[str]
) -> Tokenizer:
    """A tokenizer with the patterns of `tokenizer.json`, which mean what Oniguruma, the engine of `tokenizers`, reads there."""
    tokenizer = Tokenizer(vocab, merges, special_tokens)
    *earlier, tokenizer.pattern = patterns
    tokenizer.earlier_patterns = tuple(earlier)
    return tokenizer


def checked_special_tokens(tokens: Iterable[str]) -> list[str]:
    """The special tokens; TypeError for one that is not a string, UserError for one that no tokenizer could have."""
    not_one(tokens, "special_tokens", "special tokens", "token")
    checked: list[str] = []
    for token in tokens:
        one_text(token, "a special token")
        try:
            size = len(token.encode())
        except UnicodeEncodeError:
            raise UserError(f"{token!r} cannot be a special token: it has a lone surrogate") from None
        if not token:
            raise UserError("'' cannot be a special token: it is empty")
        if size == 1:
            raise UserError(f"{token!r} cannot be a special token: it is an ordinary token of the vocabulary")
        if token in _VALUES:
            raise UserError(f"special token {token!r} is how tokenizer.json spells an ordinary token")
        if token in checked:
            raise UserError(f"the special token {token!r} is given twice")
        checked.append(token)
    return checked


def _check_types(vocab: Any, merges: Any) -> None:
    """TypeError unless `vocab` maps ids to byte strings and `merges` are pairs of byte strings."""
    if not isinstance(vocab, Mapping):
        raise TypeError(f"vocab must map ids to byte strings, as in {{97: b'a'}}, not be {kind_of(vocab)}")
    for number, token in vocab.items():
        if not (isinstance(number, int | np.integer) and number >= 0 and isinstance(token, bytes)):
            raise TypeError(f"vocab must map ids to byte strings, as in {{97: b'a'}}, not {number!r} to {token!r}")
    not_one(merges, "merges", "pairs of byte strings", "pair")
    for pair in merges:
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, bytes) for part in pair)):
            raise TypeError(f"merges must be pairs of byte strings, as in (b'a', b'b'), not {pair!r}")


@lru_cache(16)
def _special_pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    """Matches special tokens, the longest first."""
    return re.compile("(" + "|".join(map(re.escape, sorted(tokens, key=lambda token: (-len(token), token)))) + ")")


def train_bpe(
    paths_or_texts: "Iterable[str | Path | pa.Array]",
    vocab_size: int,
    special_tokens: Sequence[str] = (),
    pattern: str = GPT2_PATTERN,
    memory: int | None = None,
    note: Callable[[str], None] | None = None,
    threads: int = 1,
    folder: Path | None = None,
) -> Tokenizer:
    """Learn byte-level BPE from texts, UTF-8 files (`Path`) or Arrow string arrays; each item is read once.

    Ids: the 256 bytes, the merges as learned, the special tokens; `vocab_size` in all, or fewer if nothing is left to merge.
    Each merge is the most frequent pair; ties go to the lexicographically greatest pair of byte strings, so the order of the
    texts and the way files are read make no difference. A special token in the text is a border, as between documents joined
    by `<|endoftext|>`, and is not learned from. `pattern` is a regular expression, or a name in PATTERNS. UserError, before any
    text is read, if `vocab_size` is too small, a special token is bad, or training and encoding would read `pattern`
    differently; and for a file that cannot be read. ValueError for a string that is the name of an existing file: only a
    `Path` is read as one. TypeError for arguments of other types.

    `memory` (bytes) bounds everything but the reading of one item: pre-tokens beyond it are counted on disk, in `folder` or
    the system's temporary folder. If there are too many distinct ones to learn from, the rarest are left out, and `note` is
    called with a message (without `note`, it is a UserWarning); otherwise it makes no difference. `threads` count in parallel,
    within the same memory and with the same result.
    """
    not_one(paths_or_texts, "paths_or_texts", "texts or paths")
    special_tokens = checked_special_tokens(special_tokens)
    pattern = portable(pattern)
    for name, number in (("vocab_size", vocab_size), ("memory", memory), ("threads", threads)):
        if number is not None or name != "memory":
            one_whole_number(number, name)
    at_least(threads, "threads")
    limit = vocab_size - 256 - len(special_tokens)
    if limit < 0:
        raise UserError(f"vocab_size is {vocab_size}; 256 bytes and the special tokens alone need {vocab_size - limit}")
    # Imported here, because only training needs Numba.
    from pipeline.tokenize.merges import learn_merges
    from pipeline.tokenize.pretokens import count_pretokens
    from pipeline.tokenize.spill import DiskSpill

    texts = _training_texts(paths_or_texts, pattern, special_tokens)
    if memory is None:
        merges = learn_merges(count_pretokens(texts, pattern, threads=threads), limit)
    else:
        with DiskSpill(memory, folder) as spill:
            fitted = spill.fit(count_pretokens(texts, pattern, spill, threads))
        if fitted.min_count > 1:
            (note or warn_caller)(
                f"tokenizer.memory holds the pre-tokens that occur at least {fitted.min_count:,} times, {fitted.share:.3%} of "
                "the text; rarer ones are not learned from"
            )
        merges = learn_merges(fitted.pretokens, limit)
    vocab = dict(enumerate([bytes([value]) for value in range(256)] + [left + right for left, right in merges]))
    return Tokenizer(vocab, merges, special_tokens, pattern)


def _training_texts(
    items: "Iterable[str | Path | pa.Array]", pattern: str, special_tokens: Sequence[str]
) -> "Iterator[str | pa.Array]":
    """The text between special tokens; arrays without special tokens as they are."""
    longest_first = sorted(special_tokens, key=len, reverse=True)
    border = re.compile("|".join(map(re.escape, longest_first))) if special_tokens else None
    arrays = isinstance(items, pa.Array | pa.ChunkedArray)
    for item in [items] if arrays else items:
        texts: Iterable[str | None]
        if isinstance(item, str):
            not_a_file(item, f"give Path({item!r}) to read the file, or an Arrow array of texts")
            texts = [item]
        elif isinstance(item, Path):
            texts = recut(_read(item), pattern, special_tokens)
        elif not isinstance(item, pa.Array | pa.ChunkedArray):
            raise TypeError(
                f"a text to train on must be a string, a Path or an Arrow array, not {kind_of(item)}{mend_for(item)}"
            )
        elif any(_occurs(special, item) for special in longest_first):
            texts = item.to_pylist()
        else:
            yield from item.chunks if isinstance(item, pa.ChunkedArray) else [item]
            continue
        for text in texts:
            if text:
                yield from border.split(text) if border else [text]


def _occurs(special: str, texts: pa.Array) -> bool:
    import pyarrow.compute as pc  # strings and files do not need it

    return bool(pc.any(pc.match_substring(texts, special)).as_py())


def _read(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            while chunk := file.read(_FILE_CHARACTERS):
                yield chunk
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error


def _pieces(texts: list[str]) -> Iterator[list[str]]:
    """Batches of texts of at least a million characters. Not much larger, since the engine holds three copies of the ids."""
    start = size = 0
    for number, text in enumerate(texts, 1):
        size += len(text)
        if size >= _PIECE_CHARACTERS:
            yield texts[start:number]
            start, size = number, 0
    if start < len(texts):
        yield texts[start:]


def _encode_piece(engine: Any, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The ids (uint32), and the number of ids of each text."""
    try:
        ids, offsets = engine.encode_batch_flat(texts)
    except UnicodeEncodeError:
        ids, offsets = engine.encode_batch_flat([_without_surrogates(text) for text in texts])
    return np.frombuffer(ids, np.uint32), np.diff(np.frombuffer(offsets, np.int64))


def _without_surrogates(text: str) -> str:
    """Replace surrogate pairs by their character and lone surrogates by U+FFFD, as tiktoken does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _patterns_of(description: dict[str, Any]) -> list[str]:
    """The pre-token patterns of a `tokenizer.json`; ValueError for settings that this module would encode differently."""
    model = description["model"]
    unsupported = (
        "dropout",
        "unk_token",
        "continuing_subword_prefix",
        "end_of_word_suffix",
        "byte_fallback",
        "ignore_merges",
    )
    for key in unsupported:
        if model.get(key):
            raise ValueError(f"model.{key} is not supported")
    normalizer = description.get("normalizer") or {}
    if normalizer.get("type") == "Sequence" and not normalizer.get("normalizers"):
        normalizer = {}  # DeepSeek-V3's, which does nothing
    if model.get("type", "BPE") != "BPE" or normalizer:
        raise ValueError("a model other than BPE, or a normalizer, is not supported")
    if (description.get("post_processor") or {"type": "ByteLevel"})["type"] != "ByteLevel":
        raise ValueError("a post_processor is not supported")
    if any(
        not entry["special"] or entry["lstrip"] or entry["rstrip"] for entry in description.get("added_tokens") or []
    ):
        raise ValueError("added tokens that are not special, or that strip spaces, are not supported")
    steps = description["pre_tokenizer"].get("pretokenizers") or [description["pre_tokenizer"]]
    if steps[-1]["type"] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        raise ValueError("only the ByteLevel pre-tokenizer without a prefix space is supported")
    own_cut = steps[-1].get("use_regex", True)
    if len(steps) == 1 and own_cut:
        return [GPT2_PATTERN]
    cuts = steps[:-1]
    isolated = [step["type"] == "Split" and step["behavior"] == "Isolated" and not step.get("invert") for step in cuts]
    if own_cut or not cuts or not all(isolated) or not all("Regex" in step["pattern"] for step in cuts):
        raise ValueError("only Splits (by a regular expression, Isolated) before ByteLevel are supported")
    return [str(step["pattern"]["Regex"]) for step in cuts]


def _byte_characters() -> str:
    """GPT-2's spelling of the 256 bytes as printable characters (openai/gpt-2, encoder.py, bytes_to_unicode)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [value for value in range(256) if value not in printable]
    characters = {value: chr(value) for value in printable} | {value: chr(256 + n) for n, value in enumerate(others)}
    return "".join(characters[value] for value in range(256))


_CHARACTERS = _byte_characters()
_VALUES = {character: value for value, character in enumerate(_CHARACTERS)}


def _spell(token: bytes) -> str:
    return "".join([_CHARACTERS[value] for value in token])


def _unspell(text: str) -> bytes:
    return bytes([_VALUES[character] for character in text])


def _json_path(path: str | Path) -> Path:
    return Path(path) if Path(path).suffix == ".json" else Path(path) / "tokenizer.json"
