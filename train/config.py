"""The config of training: one frozen dataclass of plain numbers, importable without torch.

With a vocabulary of 8,192 the defaults train a model of 1.8 million parameters on half a million tokens, in about a minute
on two CPU cores. That demonstrates that a model can learn from the corpus; it is not a recipe for a good model.

Two keys of `[train]` say what the model predicts, and from which rows:

    objective = "causal"              each token from those before it; any packing; bits per byte on contiguous rows
    objective = "masked"              BERT's: masked tokens from both sides; any packing
    objective = "span-corruption"     T5's, for a decoder: the text with gaps, then the text of the gaps; contiguous rows
    objective = "fill-in-the-middle"  documents as prefix, suffix, middle; contiguous rows
    packing = "contiguous"            the stream cut every `context` tokens; a row may see several documents
    packing = "best-fit"              whole documents side by side, each attending only to itself; the rest is padding

The special tokens of an objective are ids after the tokenizer's last one, so any shards can be used. Validation measures the
same objective on the same kind of rows, in nats per predicted token. A model trained with "masked" attends to both sides; it is
exported as a causal Llama, which has its weights but not its attention.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from pipeline.arguments import one_number

_ABOVE_ZERO = (
    *("layers", "width", "heads", "kv_heads", "context", "hidden", "rope_theta", "norm_eps"),
    *("steps", "batch_size", "learning_rate", "grad_clip"),
    *("evaluate_every", "evaluation_tokens", "checkpoint_every", "threads"),
)
_ZERO_OR_ABOVE = ("min_learning_rate", "warmup_steps", "weight_decay", "seed")
_SHARES = ("mask_rate", "span_rate", "middle_rate", "suffix_first_rate")
_OPTIONAL = ("hidden", "min_learning_rate", "warmup_steps", "grad_clip", "evaluation_tokens", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The model and its training. A one-line `ValueError` if values are invalid or contradict each other, `TypeError` if one
    is not a number."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # read by the run's config, which embeds this

    # The model: Llama's architecture (Touvron et al. 2023, arXiv 2302.13971); grouped-query attention (2305.13245).
    layers: int = 4  # blocks of attention and SwiGLU
    width: int = 128  # width of the residual stream
    heads: int = 4  # query heads; the head width, width / heads, must be even because RoPE rotates pairs
    kv_heads: int = 2  # key and value heads; heads / kv_heads query heads share one
    context: int = 256  # tokens per window: how far back the model can look
    hidden: int | None = (
        None  # units of the SwiGLU; absent: 8/3 of the width, rounded up to a multiple of 32 (2002.05202)
    )
    rope_theta: float = 10_000.0  # RoPE's base (2104.09864)
    norm_eps: float = 1e-5  # RMSNorm's eps, as in Llama
    tie_embeddings: bool = True  # one matrix for input and output (1608.05859): at this size more than half the weights

    # The schedule. Linear warm-up, then a cosine down to the minimum at the last step.
    steps: int = 500  # optimizer updates
    batch_size: int = 4  # windows per update; tokens per update = batch_size * context
    # At the peak. News, speeches and books, 8,192 tokens, validation loss: at this width, 300 steps, 1.5e-3 gave 6.37 and
    # 3e-3 6.25; at width 192, 400 steps, 3e-3 gave 6.07 and 6e-3 6.63. (One seed each.)
    learning_rate: float = 3e-3  # the peak learning rate
    min_learning_rate: float | None = None  # the learning rate at the end; absent: a tenth of the peak (2203.15556)
    warmup_steps: int | None = None  # steps of linear warm-up; absent: a twentieth of the steps

    # AdamW (1711.05101), with GPT-3's numbers (2005.14165, appendix B).
    weight_decay: float = 0.1  # weight decay of matrices, except embeddings
    beta1: float = 0.9  # decay rate of the mean of gradients
    beta2: float = 0.95  # decay rate of the mean of squared gradients
    grad_clip: float | None = 1.0  # the maximal norm of the gradient (GPT-3: 1.0); None: no clipping

    # What is predicted, and from which rows; the module's docstring says which combinations are possible.
    packing: Literal["contiguous", "best-fit"] = (
        "contiguous"  # how rows are filled; best fit: Ding et al. 2024 (2404.10830)
    )
    objective: Literal["causal", "masked", "span-corruption", "fill-in-the-middle"] = "causal"  # what is predicted
    mask_rate: float = (
        0.15  # masked: the share of a row's tokens to predict (Devlin et al. 2019, 1810.04805, section 3.1)
    )
    span_rate: float = (
        0.15  # span corruption: the share of a row's tokens removed (Raffel et al. 2020, 1910.10683, section 3.1.4)
    )
    span_length: float = 3.0  # span corruption: mean tokens per span (the same section)
    middle_rate: float = 0.5  # fill in the middle: the share of documents rearranged (Bavarian et al. 2022, 2207.14255)
    suffix_first_rate: float = (
        0.5  # fill in the middle: the share of those with the suffix before the prefix (the same)
    )

    # What is measured and kept.
    evaluate_every: int = 100  # steps between evaluations; also before the first and after the last step
    evaluation_tokens: int | None = 32_768  # at most N tokens from the start of the validation split; None: all of it
    checkpoint_every: int = 100  # steps between checkpoints; decides only how much a killed run repeats

    # The machine.
    seed: int = 0  # the seed of the initial weights and of the order of windows
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: CUDA if available
    dtype: Literal["float32", "bfloat16"] = "float32"  # type of the matrix products; weights stay float32
    threads: int | None = None  # CPU threads; absent: torch's choice. Their number changes the last bits of sums

    def __post_init__(self) -> None:
        """Refuse invalid values, naming the fields and what is accepted."""
        for name in (*_ABOVE_ZERO, *_ZERO_OR_ABOVE, *_SHARES, "beta1", "beta2", "span_length"):
            if getattr(self, name) is not None or name not in _OPTIONAL:
                one_number(getattr(self, name), name)
        for name in _ABOVE_ZERO:
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} = {value} must be above 0")
        for name in _ZERO_OR_ABOVE:
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} = {value} must be 0 or above")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 0 and below 1")
        if self.seed >= 2**63:
            raise ValueError(f"seed = {self.seed} must be below 2^63")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width = {self.width} must be an even multiple of heads = {self.heads}")
        if self.heads % self.kv_heads:
            raise ValueError(f"heads = {self.heads} must be a multiple of kv_heads = {self.kv_heads}")
        if self.warmup_steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} must be below steps = {self.steps}")
        if self.min_learning_rate is not None and self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate = {self.min_learning_rate} must not exceed learning_rate = {self.learning_rate}"
            )
        for name in _SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be from 0 to 1")
        if not (self.span_length >= 1 and math.isfinite(self.span_length)):
            raise ValueError(f"span_length = {self.span_length} must be at least 1")
        if self.packing not in ("contiguous", "best-fit"):
            raise ValueError(f'packing = "{self.packing}" must be one of contiguous, best-fit')
        if self.objective not in ("causal", "masked", "span-corruption", "fill-in-the-middle"):
            raise ValueError(
                f'objective = "{self.objective}" must be one of causal, masked, span-corruption, fill-in-the-middle'
            )
        if self.packing != "contiguous" and self.objective in ("span-corruption", "fill-in-the-middle"):
            raise ValueError(
                f'objective = "{self.objective}" must have packing = "contiguous": it cuts the stream itself'
            )
        if self.context < 5 and self.objective == "span-corruption":
            raise ValueError(
                f"context = {self.context} must be at least 5 for span corruption: 2 tokens with a span of 1 token"
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f'device = "{self.device}" must be one of auto, cpu, cuda')
        if self.dtype not in ("float32", "bfloat16"):
            raise ValueError(f'dtype = "{self.dtype}" must be one of float32, bfloat16')

    @property
    def swiglu_hidden(self) -> int:
        """Units of the SwiGLU: `hidden`, or 8/3 of the width (the weights of a plain MLP of 4 widths), in multiples of 32."""
        return self.hidden if self.hidden is not None else math.ceil(8 * self.width / 3 / 32) * 32

    @property
    def warmup(self) -> int:
        """Steps of linear warm-up: `warmup_steps`, or a twentieth of the steps."""
        return self.warmup_steps if self.warmup_steps is not None else self.steps // 20

    @property
    def final_learning_rate(self) -> float:
        """Learning rate of the last step: `min_learning_rate`, or a tenth of the peak."""
        return self.min_learning_rate if self.min_learning_rate is not None else self.learning_rate / 10
