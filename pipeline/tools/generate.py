"""Text from a run's own model and tokenizer."""

from pathlib import Path

from pipeline.errors import UserError


def generate(run: Path, prompt: str, *, tokens: int, temperature: float, top_k: int, seed: int) -> str:
    """`prompt` and at most `tokens` tokens that the model in `run` adds to it; UserError where there is no model."""
    weights, vocabulary = run / "train" / "model.safetensors", run / "tokenizer" / "tokenizer.json"
    for file in (weights, vocabulary):
        if not file.is_file():
            raise UserError(f"{file}: no such file; python -m pipeline train {run} makes a model")
    from pipeline.tokenize.bpe import Tokenizer
    from pipeline.train.export import load_model
    from pipeline.train.generate import generate

    tokenizer = Tokenizer.from_file(vocabulary)
    end = tokenizer.end_of_text
    start = [end, *tokenizer.encode(prompt)]  # as in the shards, where each document follows an end of text
    model = load_model(run / "train")
    following = generate(
        model, start, max_new_tokens=tokens, temperature=temperature, top_k=top_k, seed=seed, end_of_text=end
    )
    # The ids of an objective's own special tokens are above the tokenizer's.
    return prompt + tokenizer.decode([token for token in following if token < tokenizer.vocab_size])
