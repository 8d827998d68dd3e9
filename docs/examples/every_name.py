"""Every public name of the library in one script: `python docs/examples/every_name.py` (it needs the extra `train`).

It works in the current directory, prints what it makes, and ends with calls that are wrong and what they answer.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pipeline

TIDE = "The tide turns twice a day, and the harbour turns with it. "
PAGE = f"<html><body><nav>Home</nav><article><h1>Tides</h1><p>{TIDE * 2}</p></article></body></html>"


def texts_and_rules() -> None:
    """From a page to its text, and what the papers' rules say of it."""
    print("version", pipeline.__version__)
    text = pipeline.html_to_text(PAGE)
    print("text", text == pipeline.extract.html_to_text(PAGE), text[:26])
    only_quality = pipeline.gopher.evaluate([TIDE * 2, "word"], pipeline.gopher.GOPHER_QUALITY)
    only_repetition = pipeline.gopher.evaluate([TIDE * 9], pipeline.gopher.GOPHER_REPETITION)
    print("quality", only_quality.reasons, isinstance(only_quality, pipeline.Verdicts))
    print("repetition", only_repetition.kept.tolist(), only_repetition.reasons[0][0])
    print("own rule", pipeline.gopher.evaluate([TIDE], [pipeline.Rule(signal="words", min=10)]).kept.tolist())
    print("c4", pipeline.c4.evaluate(["lorem ipsum"]).reasons)
    both = (*pipeline.gopher.GOPHER_QUALITY, *pipeline.fineweb.RULES)
    print("both", pipeline.evaluate([TIDE * 2], both).reasons)
    print("fineweb", pipeline.fineweb.evaluate([TIDE]).kept.tolist())
    print("rooms", pipeline.filters.gopher is pipeline.gopher, dir(pipeline.filters))


def models_and_masks() -> None:
    """Languages, a classifier of one's own, and personal data."""
    [english, blank] = pipeline.LanguageIdentifier().predict([TIDE, " "])
    print("language", english.label, blank == pipeline.Prediction("und", 0.0))
    things = "tides boats nets ropes sails winds maps lamps bells docks piers reefs".split()
    good = [f"A report on the {one} and the {other} of the old harbour." for one in things for other in things]
    bad = [f"Click here to buy cheap {one} and {other} now, best price!" for one in things for other in things]
    model = pipeline.QualityClassifier.train(good, bad, seed=1)
    print(
        "classifier", [prediction.label for prediction in model.predict(["A report on the lamps.", "Buy cheap maps!"])]
    )
    print("mask", pipeline.mask("Write to ann@example.org.").text)


def copies() -> None:
    """Copies of lines and of documents."""
    Path("a.txt").write_text("Home\nLow water\n")
    Path("b.txt").write_text("Home\nHigh water\n")
    print("lines", pipeline.dedup_lines(["a.txt", "b.txt"], "clean", keep="first"))
    short, long = "one two three four five six seven eight", "one two three four five six seven eight nine"
    print("documents", pipeline.dedup_documents([short, long, TIDE], threshold=0.7).kept.tolist())
    signatures = pipeline.MinHasher(num_hashes=112).signatures([short, long])
    print("similar", round(pipeline.jaccard(short, long), 2), float(pipeline.estimate(*signatures)) > 0.5)
    print("found", round(float(pipeline.candidate_probability(0.8, bands=14, rows=8)), 3))


def tokens() -> pipeline.Tokenizer:
    """A tokenizer, and shards of its tokens."""
    tokenizer = pipeline.train_bpe([TIDE] * 20, 300, special_tokens=["<|endoftext|>"], pattern="o200k")
    again = pipeline.Tokenizer(tokenizer.vocab, tokenizer.merges, ["<|endoftext|>"], "o200k")
    print("tokenizer", len(tokenizer), tokenizer.decode(again.encode(TIDE)) == TIDE)
    print("special", tokenizer.encode("<|endoftext|>") == [tokenizer.end_of_text])
    print("document", len(tokenizer.encode_batch(["<|endoftext|>"])[0]) > 1)
    documents = [(f"doc-{number}", tokenizer.encode(TIDE * (1 + number % 3))) for number in range(20)]
    pipeline.shards.write(
        "shards", documents, vocab_size=len(tokenizer), end_of_text=tokenizer.end_of_text, validation=0.2
    )
    print("shards", pipeline.shards.open("shards").splits["train"].documents)
    print("rooms", pipeline.tokenize.shards is pipeline.shards, dir(pipeline.tokenize))
    return tokenizer


def training(tokenizer: pipeline.Tokenizer) -> None:
    """A model on those shards."""
    import torch

    shape = pipeline.ModelConfig(
        vocab_size=len(tokenizer), layers=1, width=16, heads=2, kv_heads=1, hidden=32, context=8
    )
    model = pipeline.Transformer(shape)
    print("logits", tuple(model(torch.zeros(1, 8, dtype=torch.long)).shape))
    print("rate", round(pipeline.learning_rate(1, steps=4, learning_rate=1e-3, warmup_steps=1), 6))
    print("optimizer", len(pipeline.adamw(model, learning_rate=1e-3).param_groups))
    config = pipeline.TrainConfig(layers=1, width=16, heads=2, kv_heads=1, context=8, steps=4, batch_size=2)
    result = pipeline.train.loop.train(config, "shards", "model")
    print("trained", result.steps)
    loaded = pipeline.load_model("model")
    validation = pipeline.shards.open("shards").splits["validation"]
    measured = pipeline.train.evaluation.evaluate(loaded, validation, end_of_text=tokenizer.end_of_text)
    print("loss", measured.tokens == validation.tokens, round(pipeline.bits_per_byte(nats=1000, text_bytes=400), 3))
    print("ids", len(list(pipeline.generate(loaded, tokenizer.encode("The"), max_new_tokens=3))))
    written = pipeline.generate_text("model", "The", encode=tokenizer.encode, decode=tokenizer.decode, max_new_tokens=3)
    print("generated", type(written).__name__)


def scaling() -> None:
    """Scaling laws from finished trainings."""
    runs = [
        pipeline.TrainedModel(params=n, tokens=c / 6 / n, loss=1.7 + 400 / n**0.34 + 410 / (c / 6 / n) ** 0.28)
        for c in (1e18, 1e19, 1e20)
        for n in (c**0.5 / 100, c**0.5 / 50, c**0.5 / 25, c**0.5 / 8, c**0.5 / 4)
    ]
    exponent, irreducible = pipeline.fit_isoflop(runs).params.exponent, pipeline.fit_parametric(runs).E
    print("scaling", 0.4 < exponent < 0.5, round(irreducible, 1))


def wrong(tokenizer: pipeline.Tokenizer) -> dict[str, tuple[Callable[[], Any], str, str]]:
    """Calls that are wrong: what is called, the kind of error, and what it says."""
    any_text: Any = {"none": None, "bytes": b"text", "number": 3}
    one: Any = TIDE
    number: Any = 3
    return {
        "html_to_text(None)": (
            lambda: pipeline.html_to_text(any_text["none"]),
            "TypeError",
            "html must be a string or bytes, not None",
        ),
        "mask(None)": (lambda: pipeline.mask(any_text["none"]), "TypeError", "text must be a string, not None"),
        "gopher.evaluate(text)": (
            lambda: pipeline.gopher.evaluate(one),
            "TypeError",
            "texts must be a list of texts, not one string; give a list: [text]",
        ),
        "c4.evaluate([3])": (
            lambda: pipeline.c4.evaluate([number]),
            "TypeError",
            "texts[0] must be a string or None, not an int",
        ),
        'fineweb.evaluate([b"text"])': (
            lambda: pipeline.fineweb.evaluate([any_text["bytes"]]),
            "TypeError",
            "texts[0] must be a string or None, not bytes; decode it: text.decode()",
        ),
        "LanguageIdentifier().predict(text)": (
            lambda: pipeline.LanguageIdentifier().predict(one),
            "TypeError",
            "texts must be a list of texts, not one string; give a list: [text]",
        ),
        "dedup_documents(text)": (
            lambda: pipeline.dedup_documents(one),
            "TypeError",
            "texts must be a list of texts, not one string; give a list: [text]",
        ),
        "dedup_lines(path)": (
            lambda: pipeline.dedup_lines(one, "clean"),
            "TypeError",
            "paths must be a list of paths, not one string; give a list: [path]",
        ),
        "jaccard(text, None)": (
            lambda: pipeline.jaccard(TIDE, any_text["none"]),
            "TypeError",
            "b must be a string, not None",
        ),
        "train_bpe(text, 300)": (
            lambda: pipeline.train_bpe(one, 300),
            "TypeError",
            "paths_or_texts must be a list of texts or paths, not one string; give a list: [text]",
        ),
        'train_bpe([text], 300, ["<a>", "<a>"])': (
            lambda: pipeline.train_bpe([TIDE], 300, ["<a>", "<a>"]),
            "UserError",
            "the special token '<a>' is given twice",
        ),
        'encode(b"text")': (
            lambda: tokenizer.encode(any_text["bytes"]),
            "TypeError",
            "text must be a string, not bytes; decode it: text.decode()",
        ),
        "encode_batch(text)": (
            lambda: tokenizer.encode_batch(one),
            "TypeError",
            "texts must be a list of texts, not one string; give a list: [text]",
        ),
        "decode([99999])": (
            lambda: tokenizer.decode([99999]),
            "ValueError",
            f"99999 is not an id of this tokenizer; its ids are below {len(tokenizer)}",
        ),
        "decode(text)": (
            lambda: tokenizer.decode(one),
            "TypeError",
            "ids must be a list of whole numbers, not a str",
        ),
        'shards.write("shards", text, …)': (
            lambda: pipeline.shards.write("other", one, vocab_size=300, end_of_text=0),
            "TypeError",
            "documents must be a list of (id, tokens) pairs, not one string; give a list: [(id, tokens)]",
        ),
        'learning_rate("1")': (lambda: pipeline.learning_rate(one), "TypeError", "step must be a number, not a str"),
        "TrainConfig(steps=0)": (lambda: pipeline.TrainConfig(steps=0), "ValueError", "steps = 0 must be above 0"),
        'generate(model, "text", …)': (
            lambda: pipeline.generate(pipeline.load_model("model"), one, max_new_tokens=1),
            "TypeError",
            "tokens must be a list of whole numbers, not a str; encode the text first",
        ),
        'load_model("missing")': (
            lambda: pipeline.load_model("missing"),
            "UserError",
            "missing/config.json: no such file; a trained model's directory has config.json and model.safetensors",
        ),
    }


def answers(tokenizer: pipeline.Tokenizer) -> None:
    """Make each wrong call, and print what it answers."""
    for call, (run, kind, said) in wrong(tokenizer).items():
        try:
            run()
        except (TypeError, ValueError, pipeline.UserError) as error:
            assert (type(error).__name__, str(error)) == (kind, said), f"{call}: {type(error).__name__}: {error}"
            print(f"{call}  ->  {kind}: {error}")
        else:
            raise AssertionError(f"{call} was accepted")


def main() -> None:
    """Everything, in order."""
    texts_and_rules()
    models_and_masks()
    copies()
    tokenizer = tokens()
    training(tokenizer)
    scaling()
    answers(tokenizer)
    print("ids of NumPy", tokenizer.decode(np.array([72, 105])))


if __name__ == "__main__":
    main()
