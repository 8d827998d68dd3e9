"""What Python callers pass: every function that takes texts refuses one string, and wrong types, in one sentence."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pipeline.arguments import each_text, one_text, text_array, whole_numbers
from pipeline.errors import UserError
from pipeline.extract import html_to_text
from pipeline.filters import (
    c4,
    classifier,
    fineweb,
    gopher,
    latex,
    lines,
    minhash,
    pii,
    plugins,
    signals,
    url,
    verdicts,
)
from pipeline.filters.batch import Batch
from pipeline.filters.decontaminate.index import EvaluationIndex
from pipeline.filters.dedup import bloom, exact, shingles, substrings
from pipeline.filters.edits import edit_lines, removed_lines
from pipeline.filters.language import LanguageIdentifier
from pipeline.filters.models import kneser_ney
from pipeline.filters.models.wordlists import WordLists
from pipeline.filters.options import LineRules
from pipeline.filters.rules import Rule
from pipeline.tokenize import patterns, pretokens, shards
from pipeline.tokenize.bpe import Tokenizer, train_bpe

ROOT = Path(__file__).parents[1]
NAMES = ("texts", "positive", "negative", "paths_or_texts", "chunks", "documents", "array", "paths")
"""How arguments are called that hold many texts."""
GOOD = [f"The {word} of the harbour." for word in ("tide", "boat", "mast")]
TOKENIZER = Tokenizer(dict(enumerate(bytes([value]) for value in range(256))), [])


def quality(method: str) -> Callable[[Any], Any]:
    def call(texts: Any) -> Any:
        model = classifier.QualityClassifier.train(
            GOOD, ["buy now", "click here"], options=classifier.Options(buckets=100)
        )
        return getattr(model, method)(texts)

    return call


def ngram_model(method: str) -> Callable[[Any], Any]:
    def call(texts: Any) -> Any:
        options = kneser_ney.Options(order=1, min_count=1)
        return getattr(kneser_ney.train([pa.array(GOOD)], options).model(), method)(texts)

    return call


MANY: dict[str, Callable[[Any], Any]] = {
    "filters.batch.Batch.from_arrow(array)": Batch.from_arrow,
    "filters.c4.evaluate(texts)": c4.evaluate,
    "filters.classifier.QualityClassifier.predict(texts)": quality("predict"),
    "filters.classifier.QualityClassifier.scores(texts)": quality("scores"),
    "filters.classifier.QualityClassifier.train(negative)": lambda texts: classifier.QualityClassifier.train(
        GOOD, texts
    ),
    "filters.classifier.QualityClassifier.train(positive)": lambda texts: classifier.QualityClassifier.train(
        texts, GOOD
    ),
    "filters.classifier.arrays(texts)": lambda texts: list(classifier.arrays(texts)),
    "filters.decontaminate.index.EvaluationIndex.__init__(texts)": EvaluationIndex,
    "filters.decontaminate.index.EvaluationIndex.search(texts)": EvaluationIndex(GOOD, 2).search,
    "filters.dedup.bloom.dedup_ngrams(texts)": bloom.dedup_ngrams,
    "filters.dedup.exact.content_hashes(texts)": exact.content_hashes,
    "filters.dedup.shingles.shingle_hashes(texts)": lambda texts: shingles.shingle_hashes(texts, 5),
    "filters.dedup.shingles.word_hashes(texts)": shingles.word_hashes,
    "filters.dedup.substrings.repeated_substrings(texts)": substrings.repeated_substrings,
    "filters.edits.edit_lines(array)": lambda texts: edit_lines(texts, LineRules(citations=True)),
    "filters.fineweb.evaluate(texts)": fineweb.evaluate,
    "filters.gopher.evaluate(texts)": gopher.evaluate,
    "filters.language.LanguageIdentifier.predict(texts)": LanguageIdentifier().predict,
    "filters.latex.has_latex(texts)": latex.has_latex,
    "filters.latex.normalize(texts)": lambda texts: latex.normalize(texts, "no_latex"),
    "filters.minhash.MinHasher.signatures(texts)": minhash.MinHasher(8).signatures,
    "filters.minhash.dedup_documents(texts)": minhash.dedup_documents,
    "filters.models.perplexity.NgramModel.divergence(texts)": ngram_model("divergence"),
    "filters.models.perplexity.NgramModel.perplexity(texts)": ngram_model("perplexity"),
    "filters.models.perplexity.NgramModel.score(texts)": ngram_model("score"),
    "filters.models.wordlists.WordLists.count(texts)": WordLists({None: ["boat"]}).count,
    "filters.models.wordlists.WordLists.share(texts)": WordLists({None: ["boat"]}).share,
    "filters.pii.mask_texts(array)": pii.mask_texts,
    "filters.signals.measure(array)": lambda texts: signals.measure(texts, ["words"]),
    "filters.verdicts.evaluate(texts)": lambda texts: verdicts.evaluate(texts, []),
    "filters.verdicts.judge(texts)": lambda texts: verdicts.judge(texts, [], []),
    "tokenize.bpe.Tokenizer.encode_batch(texts)": TOKENIZER.encode_batch,
    "tokenize.bpe.Tokenizer.encode_stream(chunks)": lambda chunks: list(TOKENIZER.encode_stream(chunks)),
    "tokenize.bpe.train_bpe(paths_or_texts)": lambda texts: train_bpe(texts, 256),
}
"""Takes texts: refuses one text, and items that are not texts."""
OTHER: dict[str, Callable[[Any], Any]] = {
    "filters.lines.dedup_lines(paths)": lambda paths: lines.dedup_lines(paths, "out"),
    "filters.plugins.locate(paths)": plugins.locate,
    "filters.url.blocklist_files(paths)": url.blocklist_files,
    "filters.url.read_blocklists(paths)": url.read_blocklists,
    "tokenize.patterns.recut(chunks)": lambda chunks: list(patterns.recut(chunks, "x", [])),
    "tokenize.pretokens.count_pretokens(texts)": lambda texts: pretokens.count_pretokens(texts, "x"),
    "tokenize.shards.write(documents)": lambda documents: shards.write("out", documents, vocab_size=9, end_of_text=0),
}
"""Takes paths, pairs, or texts that were checked before: refuses one string."""


def takers() -> Iterator[str]:
    """Every function and method of the rooms that takes many texts, strings or pairs from Python."""
    for room in ("filters", "tokenize", "train"):
        for file in sorted((ROOT / room).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if "kernels" in parts:
                continue
            module = importlib.import_module(".".join(("pipeline", *parts)))
            for name, value in vars(module).items():
                if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                    continue
                functions = {name: value} if inspect.isfunction(value) else {}
                if inspect.isclass(value):
                    public = [key for key in vars(value) if not key.startswith("_") or key == "__init__"]
                    functions = {
                        f"{name}.{key}": getattr(value, key) for key in public if callable(getattr(value, key))
                    }
                for path, function in functions.items():
                    for parameter in inspect.signature(function).parameters.values():
                        if parameter.name in NAMES and re.search(
                            r"(Iterable|Sequence)\[(tuple\[)?str", str(parameter.annotation)
                        ):
                            yield f"{'.'.join(parts)}.{path}({parameter.name})"


def test_the_tables_have_every_function_that_takes_texts() -> None:
    pytest.importorskip("torch", reason="training is an extra")
    assert {*takers()} == {*MANY, *OTHER}


@pytest.mark.parametrize("name", [*MANY, *OTHER])
def test_one_string_is_refused_with_the_mend(name: str) -> None:
    with pytest.raises(TypeError, match=r"must be a list of .*, not one string; give a list: \[.+\]$"):
        (MANY | OTHER)[name]("the tide turns")


@pytest.mark.parametrize("name", [*MANY, *OTHER])
@pytest.mark.parametrize(("value", "said"), [(None, "None"), (b"text", "bytes"), (3, "an int"), ({"a": "b"}, "a dict")])
def test_what_is_no_list_is_refused(name: str, value: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"must be a list of .*, not {said}"):
        (MANY | OTHER)[name](value)


@pytest.mark.parametrize("name", MANY)
@pytest.mark.parametrize(
    ("item", "said"), [(3, "not an int$"), (b"x", r"not bytes; decode it: text\.decode\(\)$"), (["x"], "not a list")]
)
def test_an_item_that_is_no_text_is_named(name: str, item: Any, said: str) -> None:
    with pytest.raises(TypeError, match=rf"must be a string.*{said}"):
        MANY[name](["fine", item])


ONE: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "html_to_text": ("html", html_to_text),
    "mask": ("text", pii.mask),
    "jaccard, first": ("a", lambda text: minhash.jaccard(text, "b")),
    "jaccard, second": ("b", lambda text: minhash.jaccard("a", text)),
    "Tokenizer.encode": ("text", TOKENIZER.encode),
    "encode_stream": ("chunk", lambda text: list(TOKENIZER.encode_stream([text]))),
    "probable": ("text", lambda text: LanguageIdentifier().probable(text, 0.1)),
    "removed_lines": ("text", lambda text: list(removed_lines(text, LineRules(citations=True)))),
    "pattern": ("pattern", lambda text: Tokenizer(TOKENIZER.vocab, [], (), text)),
}


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize(("value", "said"), [(None, "None"), (b"x", "bytes"), (3, "an int"), (["x"], "a list")])
def test_what_is_no_text_is_refused(name: str, value: Any, said: str) -> None:
    argument, call = ONE[name]
    if (name, value) == ("html_to_text", b"x"):
        assert call(value) == "x"
        return
    with pytest.raises(TypeError, match=f"^{argument} must be a string.*, not {said}"):
        call(value)


def test_texts_in_every_form_are_one_array() -> None:
    expected = ["a", None, "ü"]
    frame = pd.Series(expected)
    forms: list[Any] = [
        expected,
        tuple(expected),
        iter(expected),
        np.array(expected, object),
        frame,
        frame.astype("category"),
        pa.array(expected),
        pa.array(expected, pa.large_string()),
        pa.chunked_array([expected[:1], expected[1:]]),
        pa.array(expected).dictionary_encode(),
        pa.array(expected).cast(pa.string_view()),
    ]
    for form in forms:
        assert text_array(form).to_pylist() == expected
    given = pa.array(expected)
    assert text_array(given) is given
    assert text_array(pa.nulls(2)).to_pylist() == text_array([None, None]).to_pylist() == [None, None]
    assert text_array([]).to_pylist() == []
    for wrong in (pa.array([1]), pa.array([b"a"]), np.array([1.5]), pd.Series([b"a"])):
        with pytest.raises(TypeError, match="^texts must be strings, not an array of"):
            text_array(wrong)


def test_a_lone_surrogate_is_named_with_the_mend() -> None:
    with pytest.raises(
        ValueError, match=r"^texts\[1\] has a lone surrogate, which UTF-8 cannot represent; give text\.enc"
    ):
        gopher.evaluate(["a", "\ud800"])


def test_numbers_and_rules_are_checked() -> None:
    with pytest.raises(TypeError, match=r"not an int$"):
        list(each_text(["a", 3]))
    assert one_text("a") == "a"
    whole_numbers([1, np.int64(2)], "ids")
    whole_numbers(np.array([1, 2], np.uint16), "ids")
    with pytest.raises(TypeError, match=r"^ids must be a list of whole numbers; 1.5 is a float$"):
        whole_numbers([1, 1.5], "ids")
    with pytest.raises(TypeError, match=r"rules must be a list of rules, not a Rule"):
        gopher.evaluate(["a"], Rule(signal="words", min=1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"rules must be Rule\(signal=…, min=…, …\), not a str"):
        gopher.evaluate(["a"], ["words"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="num_hashes must be a whole number, not a str"):
        minhash.MinHasher("112")  # type: ignore[arg-type]


def test_decoding_names_what_is_wrong() -> None:
    for value in (None, 3, "ab", b"ab"):
        with pytest.raises(TypeError, match="ids must be a list of whole numbers, not"):
            TOKENIZER.decode(value)  # type: ignore[arg-type]
    for item in (1.5, "a", None, [1]):
        with pytest.raises(TypeError, match="ids must be a list of whole numbers; .* is "):
            TOKENIZER.decode([97, item])  # type: ignore[list-item]
    for unknown in (-1, 256, 99999):
        with pytest.raises(ValueError, match=f"{unknown} is not an id of this tokenizer; its ids are below 256"):
            TOKENIZER.decode([97, unknown])
    assert TOKENIZER.decode(np.array([104, 105])) == TOKENIZER.decode(iter([104, 105])) == "hi"
    assert TOKENIZER.decode([]) == ""


MASK: Any = pii.mask  # untyped, since the types are wrong
DEDUP: Any = minhash.dedup_documents
JACCARD: Any = minhash.jaccard
ESTIMATE: Any = minhash.estimate
HTML: Any = html_to_text
RULE: Any = Rule
TRAIN_BPE: Any = train_bpe
WRITE: Any = shards.write
CLASSIFY: Any = classifier.QualityClassifier.train
WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "extractor": (lambda: HTML("x", extractor=None), UserError, "extractor: None is not one of native"),
    "format": (lambda: HTML("x", format=3), UserError, "format: 3 is not one of text"),
    "encoding": (lambda: HTML(b"x", encoding=5), TypeError, "encoding must be a string, not an int"),
    "url": (lambda: HTML("x", url=b"x"), TypeError, "url must be a string, not bytes"),
    "kinds": (lambda: MASK("x", "email"), TypeError, r"kinds must be a list .* give a list: \[kind\]"),
    "no kinds": (lambda: MASK("x", None), TypeError, "kinds must be a list of kinds of personal data, not None"),
    "placeholders": (
        lambda: MASK("x", placeholders=["x"]),
        TypeError,
        "placeholders must map kinds to strings, not be a list",
    ),
    "placeholder": (
        lambda: MASK("x", placeholders={"email": 3}),
        TypeError,
        "a placeholder must be a string, not an int",
    ),
    "options": (lambda: CLASSIFY(GOOD, GOOD, options={}), TypeError, r"options must be Options\(…\), not a dict"),
    "keep": (lambda: DEDUP(["a"], keep=3), UserError, "keep must be longest, shortest or first, not 3"),
    "verify": (lambda: DEDUP(["a"], verify=None), UserError, "verify must be .*, not None"),
    "threshold": (lambda: DEDUP(["a"], threshold="x"), TypeError, "threshold must be a number, not a str"),
    "bands": (lambda: DEDUP(["a"], bands=1.5), TypeError, "bands must be a whole number, not a float"),
    "ngram": (lambda: JACCARD("a", "b", ngram="x"), TypeError, "ngram must be a whole number, not a str"),
    "ngram 0": (lambda: JACCARD("a", "b", ngram=0), UserError, "must be 1 or more, not .* 0"),
    "unit": (lambda: JACCARD("a", "b", unit=3), UserError, "unknown unit 3"),
    "signature": (lambda: ESTIMATE(None, None), TypeError, "sig_a must be an array of signatures, not None"),
    "bound": (lambda: RULE(signal="words", min="x"), TypeError, r"words\.min must be a number, not a str"),
    "signal": (lambda: RULE(signal=3, min=1), TypeError, "signal must be a string, not an int"),
    "vocab_size": (lambda: TRAIN_BPE(["a"], 300.0), TypeError, "vocab_size must be a whole number, not a float"),
    "memory": (lambda: TRAIN_BPE(["a"], 300, memory="1GB"), TypeError, "memory must be a whole number, not a str"),
    "threads": (lambda: TRAIN_BPE(["a"], 300, threads=None), TypeError, "threads must be a whole number, not None"),
    "ids": (
        lambda: WRITE("out", [], vocab_size="9", end_of_text=0),
        TypeError,
        "vocab_size must be a whole number, not a str",
    ),
    "pair": (lambda: WRITE("out", [3], vocab_size=9, end_of_text=0), TypeError, r"\(id, tokens\) pairs, not an int"),
    "tokens": (
        lambda: WRITE("out", [("a", "b")], vocab_size=9, end_of_text=0),
        TypeError,
        "not a str; encode the text first",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_other_arguments_are_checked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()
    assert not [*tmp_path.iterdir()]


class Empty:
    """A split that is never read."""

    tokens = 0

    def read(self, start: int, length: int) -> None:
        """Nothing."""


def test_arguments_of_training_are_checked() -> None:
    torch = pytest.importorskip("torch", reason="training is an extra")
    import pipeline

    untyped: Any = pipeline
    shape = pipeline.ModelConfig(vocab_size=9, layers=1, width=8, heads=2, kv_heads=1, hidden=8, context=4)
    model: Any = pipeline.Transformer(shape)
    run = untyped.TrainedModel(params="1", tokens=1, loss=1)
    calls: tuple[tuple[Callable[[], Any], type[Exception], str], ...] = (
        (lambda: untyped.Transformer("small"), TypeError, "config must be a ModelConfig, not a str"),
        (lambda: model([1, 2]), TypeError, "tokens must be a tensor of token ids"),
        (lambda: untyped.generate("model", [1], max_new_tokens=1), TypeError, "model must be a Transformer, not a str"),
        (lambda: untyped.generate(model, "text", max_new_tokens=1), TypeError, "not a str; encode the text first"),
        (lambda: untyped.generate(model, [1], max_new_tokens="1"), TypeError, "max_new_tokens must be a whole number"),
        (
            lambda: untyped.generate(model, [1], max_new_tokens=1, temperature=None),
            TypeError,
            "temperature must be a number",
        ),
        (lambda: untyped.generate(model, [1], max_new_tokens=1, top_k=0.5), TypeError, "top_k must be a whole number"),
        (lambda: untyped.train.loop.train(None, "a", "b"), TypeError, "config must be a TrainConfig, not None"),
        (
            lambda: untyped.train.evaluation.evaluate(None, None, end_of_text=0),
            TypeError,
            "model must be a Transformer",
        ),
        (
            lambda: untyped.train.evaluation.evaluate(model, "x", end_of_text=0),
            TypeError,
            "split must be a split of shards",
        ),
        (
            lambda: untyped.train.evaluation.evaluate(model, Empty(), end_of_text=0, batch_size=0),
            ValueError,
            "batch_size must be at least 1, not 0",
        ),
        (
            lambda: untyped.train.evaluation.evaluate(model, Empty(), end_of_text=0, tokens=0),
            ValueError,
            "tokens must be at least 1, not 0",
        ),
        (lambda: untyped.bits_per_byte("1", 1), TypeError, "nats must be a number, not a str"),
        (lambda: untyped.bits_per_byte(1, 0), ValueError, "text_bytes = 0 must be above 0"),
        (lambda: untyped.fit_isoflop([run]), TypeError, "params must be a number, not a str"),
        (lambda: untyped.fit_parametric(run), TypeError, "runs must be a list of TrainedModel, not a TrainedModel"),
    )
    for call, kind, message in calls:
        with pytest.raises(kind, match=message):
            call()
    assert model(torch.zeros(1, 2, dtype=torch.long)).shape == (1, 2, 9)
