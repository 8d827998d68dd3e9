"""Text from a trained model, one token at a time."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from pipeline.arguments import kind_of, one_number, one_text, one_whole_number, whole_numbers
from pipeline.errors import UserError
from pipeline.train.export import load_model, read_settings
from pipeline.train.model import Transformer


def generate(
    model: Transformer,
    tokens: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    end_of_text: int | None = None,
) -> Iterator[int]:
    """Yield at most `max_new_tokens` tokens that follow `tokens`; stop before `end_of_text`.

    The next token is drawn from softmax(logits / temperature), among the `top_k` most likely tokens if given; at temperature
    0 it is the most likely token. The model reads the last `context` tokens again for each token: at the sizes trained here,
    a cache of keys and values is not worth its code. The same seed gives the same tokens. `UserError` without tokens, for
    invalid tokens and for settings out of range.
    """
    if not isinstance(model, Transformer):
        raise TypeError(f"model must be a Transformer, not {kind_of(model)}; load_model reads one from its directory")
    whole_numbers(tokens, "tokens", "; encode the text first")
    one_whole_number(max_new_tokens, "max_new_tokens")
    one_number(temperature, "temperature")
    if top_k is not None:
        one_whole_number(top_k, "top_k")
    vocabulary = model.config.vocab_size
    if not tokens or not all(0 <= token < vocabulary for token in tokens):
        raise UserError(f"the prompt must be one or more token ids from 0 to {vocabulary - 1}")
    if not (temperature >= 0 and math.isfinite(temperature)):
        raise UserError(f"temperature = {temperature} must be 0 (the most likely token) or above")
    if top_k is not None and top_k < 1:
        raise UserError(f"top_k = {top_k} must be 1 or above, or absent to draw from all tokens")
    return _draw(model, list(tokens), max_new_tokens, temperature, top_k, seed, end_of_text)


def _draw(
    model: Transformer,
    tokens: list[int],
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    seed: int,
    end_of_text: int | None,
) -> Iterator[int]:
    generator = torch.Generator().manual_seed(seed)  # on the CPU, for the same numbers on every device
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            window = torch.tensor([tokens[-model.config.context :]], device=model.embedding.weight.device)
            logits = model(window)[0, -1].float().cpu()
        if temperature == 0:
            token = int(logits.argmax())
        else:
            if top_k is not None and top_k < logits.numel():
                top_logits = torch.full_like(logits, -math.inf)
                values, indices = logits.topk(top_k)
                logits = top_logits.scatter(0, indices, values)
            shifted = (logits - logits.max()) / temperature  # the maximum is 0, so a tiny temperature cannot overflow
            token = int(torch.multinomial(shifted.softmax(0), 1, generator=generator))
        if token == end_of_text:
            return
        tokens.append(token)
        yield token


def generate_text(
    directory: Path | str,
    prompt: str,
    *,
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    max_new_tokens: int = 100,
    temperature: float = 0.8,
    top_k: int | None = 50,
    seed: int = 0,
) -> str:
    """The text that the model in `directory` writes after `prompt`, up to its end-of-text, without the prompt.

    `encode` and `decode` are the tokenizer's. The prompt is read as the beginning of a document: after an end-of-text, as in
    shards. `UserError` as in `load_model` and `generate`.
    """
    one_text(prompt, "prompt")
    end_of_text: int = read_settings(directory)["eos_token_id"]
    drawn = generate(
        load_model(directory),
        [end_of_text, *encode(prompt)],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        end_of_text=end_of_text,
    )
    return decode(list(drawn))
