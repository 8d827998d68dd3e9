"""How the time of everything that sees outside bytes grows: python tests/benchmarks/growth.py [--all] [NAME...]

Each case and each regular expression of the package is run on each unit, repeated to 10 kB and 100 kB, and on those that look
worst (with --all: on all of them) to 1 MB and 10 MB. Prints for each the worst unit: CPU seconds per size, and the
exponent of the last step, log10(t(10 n) / t(n)), where 1 is linear. Then whatever grows by more than LIMIT, and the kernels
that no case has reached. NAME: only cases and expressions whose name contains one of these.

RUN_BY says which case runs each kernel and each function with expressions of its own; tests/test_house.py compares it with
the code. Expressions in a module are found by themselves.
"""

import gc
import gzip
import importlib
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import regex

import pipeline
from pipeline.errors import UserError
from pipeline.extract.inputs.archive import header_block, read_records
from pipeline.extract.inputs.json_lines import read_lines
from pipeline.extract.inputs.kinds import why_not_read
from pipeline.extract.inputs.sources import cut
from pipeline.extract.options import Columns, TextOptions
from pipeline.extract.pages.charset import decode
from pipeline.extract.pages.coding import undo
from pipeline.extract.pages.markup import extract_page, nesting, page_title
from pipeline.extract.pages.media_type import media_type
from pipeline.extract.pages.published import published
from pipeline.filters.decontaminate.cuts import collision_cuts
from pipeline.filters.decontaminate.index import EvaluationIndex
from pipeline.filters.dedup.bloom import dedup_ngrams
from pipeline.filters.dedup.exact import content_hashes
from pipeline.filters.dedup.sentences import cut_spans, find_sentences, span_hashes
from pipeline.filters.dedup.shingles import shingle_hashes
from pipeline.filters.dedup.substrings import repeated_substrings
from pipeline.filters.discovery import family_names
from pipeline.filters.edits import edit_lines, removed_lines
from pipeline.filters.kernels import spacy_tokens
from pipeline.filters.kernels.spans import apply
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.lines import cut_lines, find_lines
from pipeline.filters.minhash import MinHasher, band_keys
from pipeline.filters.models.kneser_ney import Options as NgramOptions
from pipeline.filters.models.kneser_ney import train
from pipeline.filters.models.wordlists import WordLists
from pipeline.filters.options import LineRules
from pipeline.filters.pii import mask
from pipeline.filters.signals import measure, stored_signals
from pipeline.filters.url import UrlRules, hash_entries, page_key
from pipeline.tokenize.bpe import train_bpe
from pipeline.tokenize.patterns import CL100K_PATTERN, GPT2_PATTERN, split

UNITS = (
    *("\r", "\n", "\r\n", "\r\n\r\n", " ", "\t", "\0", "\n ", "a\n", "a b", "a ", " a", "xy ", "the ", "a, ", ". ", "- "),
    *("<", ">", "&", '"', "'", "=", ";", "(", "[", "{", ".", "..", "...", "@", "/", ":", "%", "-", "_", "#", "*", "|", "\\", "+"),
    *("0", "a", "A", "1.", "1 ", "x1", "a.", "a-", "a'", "a@", "a/", "A.", "~{", "[[", "[]", "()", "[1]", "%41", "../", "/."),
    *("&#", "&#x", "&amp", "&amp;", "<a", "<a ", "<a>", "</a>", "<!--", "<!---->", "<!", "<?", "<svg>", "<title>", "<meta "),
    *("<p>", "</p>", "<p>x", "<table>", "<tr><td>", "<b><i>", "<li>", "<br>", "<script>", "<style>", "<pre>", "<select>"),
    *("<a href=x>", '<a href="', "<div class=a>", "<time datetime=", "<h1>x</h1>"),
    *("<math><mi>x", "<svg><text>x", "<template shadowrootmode>", "<span class=MathJax ", "<b hidden>", "<ruby>x<rt>", "<td rowspan=2>x", "<ol reversed><li>x", "<ol reversed>"),
    *("http://", "https://a.b/", "www.", "www.a.b ", "a@b.c ", "1.1.1.1", "1.1.1.1 ", "+1 ", "+1 555 123 4567 ", "(1)"),
    *("a: b\n", "a:\n ", "charset=", "charset= ", "0\r\n", "1\r\na\r\n", '{"a":', '{"a":1}\n', "2020-01-01 ", "20200101"),
    *("é", "e\u0301", "\u0301", "\u00ad", "\u200b", "\u200d", "東", "。", "東 ", "か゛", "ก", "\ufffd", "😀", "👩‍👩", "🇩🇪", "\u2028"),
    *("don't ", "'s", "n't", "—", "…", "$1", "1,", "10 likes\n", "read more...\n", "javascript\n"),
)  # fmt: skip
"""Repeated one by one. A case may have more."""
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
LIMIT = 1.35
"""A logarithm, noise and a heap that outgrows the caches (BPE on one word of 1 MB: 1.3, then 1.0) stay below; quadratic is 2."""
LEAST = 0.005
"""Seconds of the smaller size below which an exponent is mostly noise."""
LONGEST = 10.0
"""A row ends before a run that would take longer, judged by the last two."""
WORST = (10, 2)
"""How many units of a case are run on the last two sizes: so many of the highest exponents, half as many of the slowest."""
AT_START = (
    *(
        "_ARC_START",
        "_WARC_START",
        "_SCHEME",
        "_SYSTEM",
        "_STATUS",
        "_INTERIM",
        "_HTML_START",
        "_BINARY_START",
        "_MEDIA_TYPE",
    ),
    *("_ARRAY", "_WRAPPING"),
)
"""Expressions that are only matched at the start of their input."""

RUN_BY = {
    "pipeline.extract.native.assemble._assemble": "extractor native",
    "pipeline.extract.native.blocks._parse": "extractor native",
    "pipeline.extract.native.features._describe": "extractor native",
    "pipeline.extract.native.delimiters.in_dollars": "extractor native",
    "pipeline.extract.native.formulas.attribute": "extractor native",
    "pipeline.extract.native.lanes.count": "extractor native",
    "pipeline.extract.native.inside._inside": "extractor native",
    "pipeline.extract.native.shown._without": "extractor native",
    "pipeline.extract.native.shown.as_shown": "extractor native",
    "pipeline.extract.native.shown.of_element": "extractor native",
    "pipeline.extract.native.trees._context": "extractor native",
    "pipeline.extract.native.trees._score": "extractor native",
    "pipeline.extract.native.unseen._find_seen": "extractor native",
    "pipeline.extract.native.whole._together": "extractor native",
    "pipeline.extract.native.whole._with_code": "extractor native",
    "pipeline.extract.pages.date_places.find_places": "published",
    "pipeline.extract.pages.element_dates._any_tag": "published",
    "pipeline.filters.decontaminate.index._fill": "decontaminate",
    "pipeline.filters.decontaminate.index._numbers_of": "decontaminate",
    "pipeline.filters.dedup.bloom._dedup": "n-grams",
    "pipeline.filters.dedup.exact._normalize": "exact",
    "pipeline.filters.dedup.repeats._count": "substrings",
    "pipeline.filters.dedup.repeats._sketch": "substrings",
    "pipeline.filters.dedup.shingles._shingle_batch": "shingles",
    "pipeline.filters.dedup.signatures.fold_bands": "MinHash",
    "pipeline.filters.dedup.signatures.sign": "MinHash",
    "pipeline.filters.dedup.substrings._covered": "substrings",
    "pipeline.filters.kernels.edit_lines.edit": "edits",
    "pipeline.filters.kernels.edit_lines.mark_unchanged": "edits",
    "pipeline.filters.kernels.fasttext_scores.classify": "language",
    "pipeline.filters.kernels.fasttext_scores.has_more_capitals": "language",
    "pipeline.filters.kernels.layout._count": "signals datatrove",
    "pipeline.filters.kernels.line_hashes.count_lines": "lines",
    "pipeline.filters.kernels.line_hashes.find_lines": "lines",
    "pipeline.filters.kernels.line_hashes.hash_entries": "url",
    "pipeline.filters.kernels.line_patterns.count_phrases": "signals",
    "pipeline.filters.kernels.normalize._normalize": "perplexity",
    "pipeline.filters.kernels.pii_patterns.find": "mask",
    "pipeline.filters.kernels.pii_patterns.replace": "mask",
    "pipeline.filters.kernels.spacy_counts._count": "signals datatrove",
    "pipeline.filters.kernels.spacy_tokens._hash": "tokens as spaCy's",
    "pipeline.filters.kernels.spacy_tokens._insert": "tokens as spaCy's",
    "pipeline.filters.kernels.spacy_tokens.divide": "tokens as spaCy's",
    "pipeline.filters.kernels.spacy_tokens.tokenize": "tokens as spaCy's",
    "pipeline.filters.kernels.spans._apply": "substrings",
    "pipeline.filters.kernels.spans._join": "n-grams",
    "pipeline.filters.kernels.spans.ranges_of_marks": "lines",
    "pipeline.filters.kernels.token_spans._find": "substrings",
    "pipeline.filters.kernels.token_spans._windows": "substrings",
    "pipeline.filters.kernels.whitespace_words._count": "signals dolma",
    "pipeline.filters.kernels.whitespace_words._count_words": "signals redpajama",
    "pipeline.filters.kernels.words._count": "signals",
    "pipeline.filters.language.predict_columns": "language",
    "pipeline.filters.models.kneser_ney._add": "perplexity",
    "pipeline.filters.models.kneser_ney._hash_lines": "perplexity",
    "pipeline.filters.models.kneser_ney._move": "perplexity",
    "pipeline.filters.models.kneser_ney._totals": "perplexity",
    "pipeline.filters.models.perplexity._rows": "perplexity",
    "pipeline.filters.models.perplexity._score": "perplexity",
    "pipeline.filters.models.perplexity.word_hash": "perplexity",
    "pipeline.filters.models.wordlists._count": "word lists",
    "pipeline.filters.models.wordlists._insert": "word lists",
    "pipeline.filters.url.domains_and_pages": "url",
    "pipeline.tokenize.bpe._special_pattern": "tokenizer gpt2",
    "pipeline.tokenize.bpe._training_texts": "tokenizer gpt2",
    "pipeline.tokenize.merges._learn": "tokenizer gpt2",
    "pipeline.tokenize.patterns.split": "tokenizer with a pattern",
    "pipeline.tokenize.pretokens._add": "tokenizer gpt2",
    "pipeline.tokenize.pretokens._ends_cl100k": "tokenizer cl100k",
    "pipeline.tokenize.pretokens._ends_gpt2": "tokenizer gpt2",
    "pipeline.tokenize.pretokens._rehash": "tokenizer gpt2",
}
"""Kernels, and functions with expressions of their own: the case that runs them."""
NOT_OUTSIDE = {
    "pipeline.filters.dedup.clusters._join_equal_keys": "hashes of documents: duplicates_scale.py",
    "pipeline.filters.dedup.clusters.settle": "numbers of documents: duplicates_scale.py",
    "pipeline.filters.dedup.keep_policy._rank": "dates and URLs, by Arrow's RE2",
    "pipeline.filters.dedup.verify._near": "hashes of documents: duplicates_scale.py",
    "pipeline.filters.dedup.verify._remember": "hashes of documents: duplicates_scale.py",
    "pipeline.filters.dedup.verify.jaccard_of_sorted": "hashes of documents: duplicates_scale.py",
    "pipeline.filters.kernels.fasttext_scores.fill": "a model file of the user's",
    "pipeline.filters.kernels.spacy_characters.character_classes": "each character once",
    "pipeline.filters.kernels.unicode.character_classes": "each character once",
    "pipeline.filters.kernels.whitespace_words._cases": "each character once",
    "pipeline.filters.models.perplexity._parse": "a model file of the user's",
    "pipeline.tokenize.patterns._check_engines": "a pattern of the user's, on texts of our own",
    "pipeline.tokenize.pretokens.character_classes": "each character once",
    "pipeline.tokenize.spill._partitions": "hashes of words: tokenizer_memory.py",
    "pipeline.train.packing._best_fit": "lengths of documents",
}
"""Kernels and functions with expressions that see no outside bytes, and what they see."""

Run = Callable[[bytes], object]


def expressions() -> Iterator[tuple[str, Run]]:
    """Every regular expression in a module of the package, searched for to the end of the input."""
    root = Path(pipeline.__file__).parent
    for room in ("extract", "stages", "filters", "tokenize"):
        for file in sorted((root / room).resolve().rglob("*.py")):
            module = ".".join(("pipeline", room, *file.relative_to((root / room).resolve()).with_suffix("").parts))
            for name, value in vars(importlib.import_module(module)).items():
                if isinstance(value, (re.Pattern, regex.Pattern)):
                    yield f"{module}.{name}".removeprefix("pipeline."), search(value, only_start=name in AT_START)


def search(pattern: "re.Pattern[Any]", *, only_start: bool) -> Run:
    """Every match of a pattern for text or for bytes, or the match at the start."""
    find = pattern.match if only_start else lambda data: sum(1 for _ in pattern.finditer(data))
    return find if isinstance(pattern.pattern, bytes) else lambda data: find(data.decode())


def texts(data: bytes) -> pa.Array:
    """A document."""
    return pa.array([data.decode()], pa.large_string())


ARC_LINE = "http://a.b/ 1.1.1.1 20200101000000 text/html "
UNITS_OF = {
    "archive": (
        *("WARC/1.0\r\nA:", "WARC/1.0\nA: b\n\n", "WARC/", "WARC/1.0\r\nContent-Length: 0\r\n\r\n", "http://a 1 "),
        *(f"WARC/1.0\r\nContent-Length: {length}\r\n\r\n" for length in (9, 9_999_999, 10_000_001, 10**15)),
        *(ARC_LINE, f"{ARC_LINE}0\n", f"{ARC_LINE}9999999\n", f"{ARC_LINE}100000000\n", " 20200101000000"),
    ),
    "archive in gzip": (
        "\x1f\x8b\x08",
        "WARC/1.0\r\nContent-Length: 0\r\n\r\n",
        "WARC/1.0\r\nContent-Length: 99\r\n\r\n",
    ),
    "text in scripts": (
        *(
            '"text":"',
            '"text":"a b',
            '"text":"\\',
            '"text":"a b c."},',
            "text:",
            "text",
            '{"text":"a",',
            '{"review":',
            '{"@graph":[',
        ),
        *(
            '"a b c d e",',
            '"\\u003cp>a",',
            "1:T9,",
            "1:Tfffffff,",
            "0:Ta,{",
            'JSON.parse("',
            "<p>a b. ",
            "&lt;p&gt;",
            "9",
            "[0,",
        ),
        *(
            'self.__next_f.push([1,"',
            'self.__next_f.push([1,"a"])',
            "data-preloaded=",
            'data-preloaded="',
            "&quot;",
            "\\x3c",
        ),
        *("</script>", "<script ld+json>", "application/ld+json", "<script type=application/ld+json>{}</script>"),
    ),
    "extractor native": (
        *(
            "<pre>1\n</pre>",
            "<code>`</code>",
            "<code>a</code> ",
            "MathJax \\(",
            "MathJax \\(x\\) ",
            "<td class=gutter><pre>1",
            "x<sup>n+1</sup>",
        ),
        *(
            "katex left:'a',right:'b'",
            "MathJax inlineMath:[['a','b'],",
            "MathJax $$",
            "[tex]",
            "<img src='latex.php?latex=x'>",
        ),
        *(
            "<code>a<br>&nbsp;&nbsp;b",
            "<mjx-math class=tex data-latex='x'>",
            "<math><mrow><mo>(",
            "<math><mtable>",
            "<math><msup>x",
        ),
    ),
    "perplexity": (" ".join(f"{number:x}" for number in range(0x1000, 0x1000 + 14_000)),),  # makes its tables grow
    "published": (
        *(
            "<meta ",
            '<meta a="',
            "<time ",
            "<!--",
            "<script ld+json>",
            "<script></script ",
            "datePublished",
            "itemscope",
        ),
        *(
            "<a itemprop=datePublished ",
            "<time pubdate datetime=20200101>",
            "<meta itemprop=datePublished content=20200101>",
        ),
        *(
            "<div itemscope>",
            "</div><div itemscope>",
            "<li itemscope><div itemscope></li>",
            "<div class=comment>",
            "<h1>",
        ),
        *("<article><time pubdate datetime=20200101>", '<div class="x ', '{"@graph":[', '{"datePublished":"20200101"}'),
        *('[{"datePublished":"20200101","url":"/a"},', "<p itemscope><i itemprop=datePublished content=20200101>"),
    ),
    "chunked": ("a\r\n0123456789\r\n", "1\n", "1;", "00"),
    "JSON Lines": ("{}\n", '{"text":"a"}\n', '{"text":"a","text":"b"}\n', "[", "[]\n", "1\n", "\\u0000"),
    "url": ("a/", "a.", "/../a", "?a", "#", "%e", "@a", ":1"),
}
"""More units for some cases."""


def cases(folder: str) -> Iterator[tuple[str, Run]]:
    """What records go through; each takes bytes that are valid UTF-8."""

    def file_of(name: str, data: bytes) -> str:
        Path(folder, name).write_bytes(data)
        return f"{folder}/{name}"

    def records(path: str) -> None:
        list(read_records(path, max_record_bytes=10_000_000))
        cut(path, 1_000_000)

    def archive(data: bytes) -> None:
        response = b"HTTP/1.1 200 OK\r\n" + data
        head = b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: %d\r\n\r\n" % len(response)
        arc = b"filedesc://a 0.0.0.0 20200101000000 text/plain 0\n" + data
        for name, content in (("a.warc", head + response + b"\r\n\r\n"), ("b.warc", data), ("c.arc", arc)):
            records(file_of(name, content))

    yield "archive", archive

    def zipped(data: bytes) -> None:
        half = len(data) // 2
        for name, content in (
            ("a", data),
            ("b", gzip.compress(data, 1)),
            ("c", gzip.compress(data[:100], 1) * (len(data) // 100)),
            ("d", gzip.compress(data[:half], 1)[:-9] + gzip.compress(data[half:], 1)),
        ):
            records(file_of(f"{name}.warc.gz", content))

    yield "archive in gzip", zipped
    yield "kind of a file", lambda data: why_not_read(file_of("any", data))

    def lines(path: str) -> None:
        list(read_lines(path, 0, None, Columns(), 10_000_000))

    def json_lines(data: bytes) -> None:
        lines(file_of("a.jsonl", data))
        lines(file_of("a.jsonl", json.dumps({"text": data.decode(), "url": data.decode()}).encode()))
        lines(file_of("a.jsonl.gz", gzip.compress(data, 1)))

    yield "JSON Lines", json_lines
    zstd = pa.Codec("zstd")
    yield "JSON Lines in zstd", lambda data: lines(file_of("a.jsonl.zst", zstd.compress(data, asbytes=True)))
    yield "headers", header_block
    yield "media type", lambda data: media_type(None, data)
    yield "decode", lambda data: decode(data, data.decode())
    yield "decode Latin-1", lambda data: decode(data + b"\xff")
    yield "chunked", lambda data: undo(data, [("transfer-encoding", "chunked")], max_bytes=10_000_000)
    yield "codings", lambda data: undo(b"", [("content-encoding", data.decode())], max_bytes=10_000_000)
    yield "title", lambda data: page_title(data.decode())
    yield "nesting", lambda data: nesting(data.decode())

    def dates(data: bytes) -> None:
        json = b'<script type="application/ld+json">%s{"datePublished":"x"}</script>'
        marked = b'<p itemscope itemprop="datePublished" content="2020-01-01"><time pubdate datetime="2020-01-01">'
        published(data)
        published(json % data, "http://a.b/c")
        published(data + marked, "http://a.b/c")

    yield "published", dates
    plain, everything = TextOptions(), TextOptions(main_content=False)
    marked = TextOptions(format="markdown", links=True, comments=True, captions=True)
    yield "extractor native", lambda data: [extract_page(data, o, "http://a.b/") for o in (plain, everything, marked)]

    def in_scripts(data: bytes) -> None:
        body = data.decode()
        for before, after in (
            ("<script type=application/ld+json>", "</script>"),
            ('<script type=application/ld+json>[{"text":"', '"}]</script>'),
            ("<script type=application/json>", "</script>"),
            ('<script type=application/json id="__NUXT_DATA__">', "</script>"),
            (f"<script>self.__next_f.push([1,{json.dumps(body)}])</script><script type=application/json>", "</script>"),
            ('<div data-preloaded="', '"></div>'),
            ("", ""),
        ):
            for options in (everything, TextOptions(title=True)):
                extract_page(f"<title>{body[:1000]}</title>{before}{body}{after}", options)
        posts = json.dumps({"topic_1": json.dumps({"post_stream": {"posts": [{"cooked": body}]}})})
        extract_page(f'<div data-preloaded="{escape(posts)}"></div>', everything)
        words = body.split(" ")
        values = [{"text": " ".join(words[at : at + 30])} for at in range(0, len(words), 30)]
        extract_page(f"<script type=application/ld+json>{json.dumps(values)}</script>", everything)
        extract_page(f"<h1>{body}</h1>" + "<h1>a</h1>" * (len(body) // 10), TextOptions(title=True))

    yield "text in scripts", in_scripts
    yield "extractor resiliparse", lambda data: extract_page(data, TextOptions(extractor="resiliparse"))

    rules = UrlRules(
        blocked=hash_entries(b"a.b\n"),
        hard=frozenset("x"),
        soft=frozenset("y"),
        substrings=("zz",),
        curated=frozenset("c"),
    )
    yield (
        "url",
        lambda data: [(rules.reasons(url), page_key(url)) for url in (data.decode(), f"http://{data.decode()}")],
    )
    identifier = LanguageIdentifier()
    yield "language", lambda data: (identifier.predict([data.decode()]), identifier.probable(data.decode(), 0.01))
    for family in ("", *family_names()):
        try:
            names = stored_signals((family,) if family else ())
        except UserError as error:  # its extra is not installed
            print(error)
            continue
        yield f"signals {family}".strip(), lambda data, names=names: measure(texts(data), names)  # type: ignore[misc]
    yield "tokens as spaCy's", lambda data: spacy_tokens.tokenize(data.decode())
    line_rules = LineRules(
        max_word_characters=1000, citations=True, blank_lines=True, end_marks=(".",), min_line_words=2, phrases=("javascript",),
        max_uppercase_ratio=0.5, numeric_lines=True, counter_lines=True, boilerplate=True,
    )  # fmt: skip
    cleaning = LineRules(citations=True, blank_lines=True, boilerplate=True)

    def edits(data: bytes) -> None:
        for rules in (line_rules, cleaning):
            edit_lines(texts(data), rules)
        list(removed_lines(data.decode(), line_rules))

    yield "edits", edits
    yield "mask", lambda data: mask(data.decode())
    yield "exact", lambda data: content_hashes(texts(data))
    yield "shingles", lambda data: [shingle_hashes(texts(data), 5, unit) for unit in ("words", "characters")]
    yield "MinHash", lambda data: band_keys(MinHasher().signatures(texts(data)), 14, 8)

    def repeated_lines(data: bytes) -> None:
        found = find_lines(texts(data))
        apply(texts(data), cut_lines(found, found.hashes != 0, pa.array([len(data)]).to_numpy()))

    def sentences(data: bytes) -> None:
        found = find_sentences(texts(data))
        apply(texts(data), cut_spans(found, span_hashes(found, 3) != 0, 3))

    yield "lines", repeated_lines
    yield "sentences", sentences
    yield "substrings", lambda data: apply(texts(data), repeated_substrings(texts(data), memory=1 << 18))
    yield "n-grams", lambda data: apply(texts(data), dedup_ngrams(texts(data)))

    def decontaminate(data: bytes) -> None:
        index = EvaluationIndex([data.decode()[:200]], 3)
        index.search(texts(data))
        collision_cuts(data.decode(), index.occurrences(data.decode())[0], ngram=3, max_pieces=10**9)

    yield "decontaminate", decontaminate
    listed = WordLists({None: ["a a a a a a a a b", "x", "東東b"]})
    yield "word lists", lambda data: listed.count([data.decode()])

    def perplexity(data: bytes) -> None:
        for normalization in ("whitespace", "words"):
            options = NgramOptions(order=3, normalization=normalization, min_count=1)
            trained = train([texts(data), pa.array(["some words"], pa.large_string())], options)
            trained.model().score([data.decode()])

    yield "perplexity", perplexity
    for name, pattern in (("gpt2", GPT2_PATTERN), ("cl100k", CL100K_PATTERN), ("with a pattern", r"\p{L}+|\P{L}")):

        def tokens(data: bytes, pattern: str = pattern) -> None:
            trained = train_bpe([data.decode()], 400, pattern=pattern)
            trained.encode(data.decode(), allow_special=True)
            sum(1 for _ in split(data.decode(), pattern))

        yield f"tokenizer {name}", tokens


def seconds(function: Run, data: bytes) -> float:
    """CPU seconds of a call, without the garbage collector, whose passes over everything would count for one call in many."""
    gc.disable()
    began = time.process_time()
    function(data)
    took = time.process_time() - began
    gc.enable()
    return took


def exponent(took: list[float]) -> float:
    """The largest exponent of a step that is no noise; 0 if all are."""
    return max((math.log10(b / a) for a, b in pairwise(took) if a > LEAST or (b > 30 * LEAST and a > 0)), default=0.0)


def add_size(function: Run, unit: str, size: int, took: list[float]) -> None:
    """Run on the next size, unless it would take too long."""
    if not took or took[-1] * (took[-1] / max(took[-2], 0.001) if took[1:] else 10) < LONGEST:
        raw = unit.encode()
        data = raw * (size // len(raw))
        took.append(seconds(function, data))
        if exponent(took) > LIMIT:  # perhaps noise
            took[-1] = min(took[-1], seconds(function, data))


def worst_of(rows: dict[str, list[float]], count: int) -> dict[str, list[float]]:
    """The units of the highest exponents, and those that take longest."""
    steepest = sorted(rows, key=lambda unit: -exponent(rows[unit]))
    slowest = sorted(rows, key=lambda unit: -rows[unit][-1])
    return {unit: rows[unit] for unit in (*steepest[:count], *slowest[: (count + 1) // 2])}


def main() -> int:
    """Print the table; returns 1 if something grows faster than its input, or was not reached."""
    everywhere, chosen = "--all" in sys.argv, [name for name in sys.argv[1:] if not name.startswith("-")]
    steep = []
    with TemporaryDirectory() as folder:
        print(f"{'':<44} {'worst unit':<30} {'10 kB':>8} {'100 kB':>8} {'1 MB':>8} {'10 MB':>8} exponent")
        for name, function in (*cases(folder), *expressions()):
            if chosen and not any(part in name for part in chosen):
                continue
            function(b"warm up")
            rows: dict[str, list[float]] = {unit: [] for unit in (*UNITS, *UNITS_OF.get(name, ()))}
            for number, size in zip((0, 0, *WORST), SIZES, strict=True):
                for unit in rows if everywhere or not number else worst_of(rows, number):
                    add_size(function, unit, size, rows[unit])
            worst = max(rows, key=lambda unit: exponent(rows[unit]))
            for unit in {worst: None} | {unit: None for unit in rows if exponent(rows[unit]) > LIMIT}:
                line = " ".join(
                    f"{rows[unit][k]:8.3f}" if k < len(rows[unit]) else f"{'':8}" for k in range(len(SIZES))
                )
                shown = unit if len(unit) < 20 else f"{unit[:12]}...{unit[-5:]}"
                print(f"{name:<44} {shown!r:<30} {line} {exponent(rows[unit]):8.2f}", flush=True)
                steep += [name] * (exponent(rows[unit]) > LIMIT)
    missed = [] if chosen else [name for name in RUN_BY if not reached(name)]
    print(f"{len(steep)} grow faster than their input" + "".join(f"; not reached: {name}" for name in missed))
    return 1 if steep or missed else 0


def reached(name: str) -> bool:
    """Whether a kernel has been called; True for other functions."""
    module, _, function = name.rpartition(".")
    kernel = getattr(importlib.import_module(module), function, None)
    return bool(getattr(kernel, "overloads", True))


if __name__ == "__main__":
    sys.exit(main())
