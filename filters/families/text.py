"""How much information a text holds: its compression, the entropy of its bytes, and special tokens of language models."""

import zlib

import numpy as np

from pipeline.filters.batch import Batch, FloatArray, ratio


def text_compression_ratio(docs: Batch) -> FloatArray:
    """Bytes of the text per byte of its zlib compression at level 1, high for repetitive text; NaN for an empty text."""
    sizes = docs.ends - docs.starts
    view = docs.data.data
    spans = zip(docs.starts.tolist(), docs.ends.tolist(), strict=True)
    packed = [len(zlib.compress(view[start:end], 1)) if end > start else 0 for start, end in spans]
    return ratio(sizes, np.array(packed, np.int64))


def text_byte_entropy(docs: Batch) -> FloatArray:
    """Entropy of the bytes, in bits per byte (Shannon 1948); NaN for an empty text."""
    entropies = np.full(len(docs), np.nan)
    for document, (start, end) in enumerate(zip(docs.starts.tolist(), docs.ends.tolist(), strict=True)):
        if end > start:
            counts = np.bincount(docs.data[start:end])
            shares = counts[counts > 0] / (end - start)
            entropies[document] = -(shares * np.log2(shares)).sum()
    return entropies


SPECIAL_TOKENS = (
    "<|endoftext|> <|im_start|> <|im_end|> <|begin_of_text|> <|eot_id|> <s> </s> <unk> <pad> <mask> <bos> <eos> "
    "[CLS] [SEP] [MASK] [PAD] [UNK] [INST] [/INST]"
)
"""Of GPT-2, ChatML, Llama 1 to 3, T5 and BERT: a text that contains them was a model's input or output."""


def text_special_token_ratio(docs: Batch) -> FloatArray:
    """Special tokens of language models ("<|endoftext|>", "</s>", "[MASK]"), in any case, per word; NaN without words."""
    return ratio(docs.count(*SPECIAL_TOKENS.split()), docs.words.words)


SIGNALS = (text_compression_ratio, text_byte_entropy, text_special_token_ratio)
