"""The settings and the schedule."""

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import BaseModel, ValidationError
from torch import nn

from pipeline.train.config import TrainConfig
from pipeline.train.model import ModelConfig, Transformer
from pipeline.train.optim import adamw, learning_rate


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 100, "heads": 3}, "width = 100 must be an even multiple of heads = 3"),
        ({"width": 18, "heads": 6, "kv_heads": 6}, "width = 18 must be an even multiple of heads = 6"),
        ({"width": 192, "heads": 6, "kv_heads": 4}, "heads = 6 must be a multiple of kv_heads = 4"),
        ({"steps": 5, "warmup_steps": 5}, "warmup_steps = 5 must be below steps = 5"),
        ({"learning_rate": 1e-3, "min_learning_rate": 2e-3}, "min_learning_rate = 0.002 must not exceed"),
        ({"learning_rate": math.nan}, "learning_rate = nan must be above 0"),
        ({"learning_rate": math.inf}, "learning_rate = inf must be above 0"),
        ({"beta2": 1.0}, "beta2 = 1.0 must be at least 0 and below 1"),
        ({"beta1": -0.1}, "beta1 = -0.1 must be at least 0 and below 1"),
        ({"device": "tpu"}, 'device = "tpu" must be one of auto, cpu, cuda'),
        ({"dtype": "float16"}, 'dtype = "float16" must be one of float32, bfloat16'),
        ({"seed": 2**63}, "seed = 9223372036854775808 must be below"),
        ({"packing": "tight"}, 'packing = "tight" must be one of contiguous, best-fit'),
        ({"objective": "mlm"}, 'objective = "mlm" must be one of causal, masked, span-corruption, fill-in-the-middle'),
        ({"objective": "span-corruption", "packing": "best-fit"}, 'must have packing = "contiguous"'),
        ({"objective": "fill-in-the-middle", "packing": "best-fit"}, 'must have packing = "contiguous"'),
        ({"objective": "span-corruption", "context": 4}, "context = 4 must be at least 5 for span corruption"),
        ({"mask_rate": 1.1}, "mask_rate = 1.1 must be from 0 to 1"),
        ({"span_length": 0.5}, "span_length = 0.5 must be at least 1"),
        *(({name: 0}, f"{name} = 0 must be above 0") for name in ("layers", "heads", "steps", "batch_size", "threads")),
        *(({name: 0}, f"{name} = 0 must be above 0") for name in ("hidden", "grad_clip", "evaluation_tokens")),
        *(({name: -1}, f"{name} = -1 must be 0 or above") for name in ("warmup_steps", "weight_decay", "seed")),
    ],
)
def test_settings_that_cannot_be_trained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        TrainConfig(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"width": 12, "heads": 6, "kv_heads": 6},
        {"steps": 5, "warmup_steps": 4},
        {"steps": 1},
        {"warmup_steps": 0, "weight_decay": 0.0, "min_learning_rate": 0.0, "beta1": 0.0, "seed": 2**63 - 1},
        {"learning_rate": 1e-3, "min_learning_rate": 1e-3},
        {"grad_clip": None, "evaluation_tokens": None},
        {"objective": "span-corruption", "context": 5, "span_rate": 1.0, "span_length": 1.0},
        {"objective": "masked", "packing": "best-fit", "mask_rate": 0},
    ],
)
def test_settings_just_inside(settings: dict[str, Any]) -> None:
    TrainConfig(**settings)


@pytest.mark.parametrize(("width", "hidden"), [(12, 32), (14, 64), (192, 512), (256, 704)])
def test_hidden_units_are_eight_thirds_of_the_width_in_32s(width: int, hidden: int) -> None:
    assert TrainConfig(width=width, heads=1, kv_heads=1).swiglu_hidden == hidden
    assert TrainConfig(width=width, heads=1, kv_heads=1, hidden=5).swiglu_hidden == 5


def test_a_pydantic_config_can_embed_it() -> None:
    class Run(BaseModel):
        train: TrainConfig = TrainConfig()

    assert Run.model_validate({"train": {"steps": 7}}).train == TrainConfig(steps=7)
    for settings, message in (({"stepz": 7}, "stepz"), ({"kv_heads": 5}, "must be a multiple of kv_heads = 5")):
        with pytest.raises(ValidationError, match=message):
            Run.model_validate({"train": settings})


def test_the_settings_need_no_torch() -> None:
    code = "import sys, pipeline.train.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_schedule_at_its_corners() -> None:
    config = TrainConfig(steps=111, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.2)
    assert learning_rate(0, config) == pytest.approx(1 / 11)
    assert learning_rate(9, config) == pytest.approx(10 / 11)
    assert learning_rate(10, config) == 1.0  # the peak
    assert learning_rate(35, config) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.sqrt(0.5)))  # a quarter of the way
    assert learning_rate(60, config) == pytest.approx(0.6)  # halfway down
    assert learning_rate(110, config) == pytest.approx(0.2)  # the last step
    assert learning_rate(1000, config) == pytest.approx(0.2)


def test_schedule_and_optimizer_take_numbers() -> None:
    config = TrainConfig(steps=111, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.2)
    for step in (0, 9, 35, 110):
        numbers = learning_rate(step, steps=111, warmup_steps=10, learning_rate=1.0, min_learning_rate=0.2)
        assert numbers == learning_rate(step, config)
    assert learning_rate(10, config, learning_rate=2.0) == 2.0
    optimizer = adamw(nn.Linear(2, 2), learning_rate=0.5, weight_decay=0.0, beta1=0.8, beta2=0.9)
    assert {(group["lr"], group["weight_decay"], group["betas"]) for group in optimizer.param_groups} == {
        (0.5, 0.0, (0.8, 0.9))
    }
    assert {group["weight_decay"] for group in adamw(nn.Linear(2, 2)).param_groups} == {TrainConfig().weight_decay, 0.0}


RATE: Any = learning_rate  # untyped, since the types are wrong
ADAMW: Any = adamw
CONFIG: Any = TrainConfig


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: RATE("1"), TypeError, "step must be a number, not a str"),
        (lambda: RATE(1, 3e-3), TypeError, "config must be a TrainConfig, not a float; give numbers by name"),
        (lambda: RATE(1, learning_rate="high"), TypeError, "learning_rate must be a number, not a str"),
        (lambda: RATE(-1), ValueError, "step must be at least 0, not -1"),
        (lambda: RATE(1, steps=0), ValueError, "steps = 0 must be above 0"),
        (lambda: RATE(1, steps=5, warmup_steps=5), ValueError, "warmup_steps = 5 must be below steps = 5"),
        (lambda: ADAMW("model"), TypeError, "model must be a torch module, not a str"),
        (lambda: ADAMW(nn.Linear(2, 2), beta1=1.0), ValueError, "beta1 = 1.0 must be at least 0 and below 1"),
        (lambda: ADAMW(nn.Linear(2, 2), beta1=None, beta2="x"), TypeError, "beta2 must be a number, not a str"),
        (lambda: CONFIG(width=None), TypeError, "width must be a number, not None"),
        (lambda: CONFIG(steps=True), TypeError, "steps must be a number, not a bool"),
    ],
)
def test_wrong_numbers_are_told(call: Callable[[], object], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_schedule_of_defaults_and_of_very_short_runs() -> None:
    config = TrainConfig(steps=400, learning_rate=1.0)
    assert config.warmup == 20
    assert learning_rate(20, config) == 1.0
    assert learning_rate(399, config) == pytest.approx(0.1)
    assert learning_rate(0, TrainConfig(steps=1, learning_rate=1.0)) == 1.0
    assert [learning_rate(step, TrainConfig(steps=2, learning_rate=1.0)) for step in (0, 1)] == [
        1.0,
        pytest.approx(0.1),
    ]


def test_only_matrices_decay_and_each_weight_is_trained_once() -> None:
    shape: dict[str, Any] = {
        "vocab_size": 9,
        "layers": 2,
        "width": 8,
        "heads": 2,
        "kv_heads": 1,
        "hidden": 8,
        "context": 4,
    }
    model = Transformer(ModelConfig(**shape, tie_embeddings=False))
    optimizer = adamw(model, TrainConfig(weight_decay=0.3, beta1=0.8, beta2=0.9))
    names = {id(weights): name for name, weights in model.named_parameters()}
    decayed, plain = (sorted(names[id(weights)] for weights in group["params"]) for group in optimizer.param_groups)
    assert sorted(decayed + plain) == sorted(names.values())
    assert plain == sorted(name for name in names.values() if "norm" in name or "embedding" in name)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]
    assert all(group["betas"] == (0.8, 0.9) for group in optimizer.param_groups)


def test_optimizer_equals_adamw_written_out() -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 9,
        "layers": 1,
        "width": 8,
        "heads": 2,
        "kv_heads": 1,
        "hidden": 8,
        "context": 4,
    }
    model = Transformer(ModelConfig(**shape)).double()
    config = replace(TrainConfig(), learning_rate=0.01, weight_decay=0.2, beta1=0.7, beta2=0.8)
    optimizer = adamw(model, config)
    wanted = {name: weights.detach().clone() for name, weights in model.named_parameters()}
    first = {name: torch.zeros_like(weights) for name, weights in wanted.items()}
    second = {name: torch.zeros_like(weights) for name, weights in wanted.items()}
    for step in range(1, 4):
        optimizer.zero_grad()
        model(torch.tensor([[1, 2, 3]])).pow(2).sum().backward()
        for name, weights in model.named_parameters():
            assert weights.grad is not None
            decay = 0.2 if weights.ndim > 1 and "embedding" not in name else 0.0
            first[name] = 0.7 * first[name] + 0.3 * weights.grad
            second[name] = 0.8 * second[name] + 0.2 * weights.grad**2
            mean, square = first[name] / (1 - 0.7**step), second[name] / (1 - 0.8**step)
            wanted[name] = wanted[name] * (1 - 0.01 * decay) - 0.01 * mean / (square.sqrt() + 1e-8)
        optimizer.step()
    for name, weights in model.named_parameters():
        torch.testing.assert_close(weights.detach(), wanted[name])
