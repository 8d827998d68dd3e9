"""Text from a run's own model and tokenizer."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.errors import UserError
from pipeline.run.run import open_run


def generate(run: Path, prompt: str, *, tokens: int, temperature: float, top_k: int, seed: int) -> str:
    """`prompt` and at most `tokens` tokens that the model in `run` adds to it; UserError where there is no model."""
    weights, vocabulary = run / "train" / "model.safetensors", run / "tokenizer" / "tokenizer.json"
    for file in (weights, vocabulary):
        if not file.is_file():
            raise UserError(f"{file}: no such file; python -m pipeline train {run} makes a model")
    open_run(run).require("train", advice=f"run first: python -m pipeline run {run} --until train")
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.train.generate import generate_text

    tokenizer = Tokenizer.from_file(vocabulary)

    def decode(ids: Sequence[int]) -> str:  # the ids of an objective's own special tokens are above the tokenizer's
        return tokenizer.decode([token for token in ids if token < tokenizer.vocab_size])

    return prompt + generate_text(
        run / "train",
        prompt,
        encode=partial(tokenizer.encode, allow_special=False),
        decode=decode,
        max_new_tokens=tokens,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
    )
