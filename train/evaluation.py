"""Validation loss, in nats per token and in bits per byte of text."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from pipeline.arguments import at_least, kind_of, one_number
from pipeline.errors import UserError
from pipeline.train.batches import Rows, Task, in_order
from pipeline.train.data import Split
from pipeline.train.model import Transformer
from pipeline.train.objectives import IGNORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The loss of a model on a split."""

    tokens: int  # tokens scored
    nats_per_token: float
    bits_per_byte: float | None  # None if the bytes of the text are unknown, or not every token is predicted


def bits_per_byte(nats: float, text_bytes: float) -> float:
    """Total loss in nats to bits per UTF-8 byte of text, which is comparable between tokenizers; loss per token is not.

    ValueError without bytes.
    """
    one_number(nats, "nats")
    one_number(text_bytes, "text_bytes")
    if text_bytes <= 0:
        raise ValueError(f"text_bytes = {text_bytes} must be above 0")
    return nats / (math.log(2) * text_bytes)


@torch.no_grad()
def evaluate(
    model: Transformer,
    split: Split,
    *,
    end_of_text: int,
    tokens: int | None = None,
    batch_size: int = 8,
    dtype: torch.dtype = torch.float32,
) -> Evaluation:
    """Loss on the first `tokens` tokens of the split (None: all), in disjoint windows of the model's context.

    Every token is scored exactly once; the first one follows an end-of-text. A window does not see the one before it.
    End-of-text tokens are scored too and have no bytes, so bits per byte covers the documents and where each ends. For the
    whole split the bytes are exact; for a part they are its share of the split's bytes by tokens, since only the tokenizer
    knows the bytes of a token. `UserError` for an empty split, ValueError for `tokens` or `batch_size` below 1.
    """
    if not isinstance(model, Transformer):
        raise TypeError(f"model must be a Transformer, not {kind_of(model)}; load_model reads one from its directory")
    if not hasattr(split, "read"):
        raise TypeError(f"split must be a split of shards, as in opened.splits['validation'], not {kind_of(split)}")
    at_least(batch_size, "batch_size")
    if tokens is not None:
        at_least(tokens, "tokens")
    count = split.tokens if tokens is None else min(tokens, split.tokens)
    if count == 0:
        raise UserError("the validation split is empty: add documents, or give it a larger share of them")
    device, context = model.embedding.weight.device, model.config.context
    nats = 0.0
    for start, stop, length in _slices(count, batch_size, context):
        before = split.read(start - 1, 1) if start else np.array([end_of_text])
        stream = np.concatenate((before, split.read(start, stop - start))).astype(np.int64)
        inputs = torch.from_numpy(stream[:-1]).view(-1, length).to(device)
        targets = torch.from_numpy(stream[1:]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
            logits = model(inputs)
        nats += F.cross_entropy(logits.flatten(0, 1).float(), targets, reduction="sum").item()
    text_bytes = split.bytes * (count / split.tokens)
    bits = bits_per_byte(nats, text_bytes) if text_bytes else None
    return Evaluation(tokens=count, nats_per_token=nats / count, bits_per_byte=bits)


@torch.no_grad()
def evaluate_task(
    model: Transformer,
    rows: Rows,
    task: Task,
    *,
    seed: int,
    tokens: int | None = None,
    batch_size: int = 8,
    dtype: torch.dtype = torch.float32,
) -> Evaluation:
    """Loss of any objective on the first rows with `tokens` tokens in all (None: all rows), with the same draws each time.

    Nats per predicted token. There are no bits per byte: not every token of the text is predicted.
    """
    count = rows.count if tokens is None else min(rows.count, math.ceil(tokens / rows.context))
    device = model.embedding.weight.device
    nats, predicted = 0.0, 0
    for first in range(0, count, batch_size):
        arrays = in_order(rows, task.objective, seed=seed, first=first, last=min(first + batch_size, count))
        sees = task.sees(arrays)
        inputs, targets = (torch.from_numpy(arrays[name]).to(device) for name in ("inputs", "targets"))
        with torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16):
            logits = model(inputs, None if sees is None else torch.from_numpy(sees).to(device))
        nats += F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum").item()
        predicted += int((arrays["targets"] != IGNORE).sum())
    if not predicted:
        raise UserError("the validation split has no token to predict: add documents, or give it a larger share")
    return Evaluation(tokens=predicted, nats_per_token=nats / predicted, bits_per_byte=None)


def _slices(count: int, batch_size: int, context: int) -> list[tuple[int, int, int]]:
    """(start, stop, length of a row) of each batch: full batches, then a smaller one of full rows, then a shorter row."""
    full = count // context * context
    slices = [
        (start, min(start + batch_size * context, full), context) for start in range(0, full, batch_size * context)
    ]
    return slices + ([(full, count, count - full)] if full < count else [])
