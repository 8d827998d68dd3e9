"""The model against slow explicit formulas and against transformers' Llama."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.train.export import export_model, load_model
from pipeline.train.model import ModelConfig, RMSNorm, RotaryEmbedding, SwiGLU, Transformer, attention


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On a busy machine two OpenMP threads that wait for one another are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(
    *, kv_heads: int = 2, tie_embeddings: bool = False, layers: int = 2, rope_theta: float = 10_000.0
) -> Transformer:
    """A small model with weights large enough that every part shows in the logits."""
    torch.manual_seed(1)
    model = Transformer(
        ModelConfig(
            vocab_size=50,
            layers=layers,
            width=32,
            heads=4,
            kv_heads=kv_heads,
            hidden=48,
            context=16,
            rope_theta=rope_theta,
            norm_eps=1e-5,
            tie_embeddings=tie_embeddings,
        )
    )
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(torch.randn_like(weights) * 0.3 + (1.0 if weights.ndim == 1 else 0.0))
    return model


def tokens(batch: int = 3, length: int = 16) -> Tensor:
    return torch.randint(50, (batch, length), generator=torch.Generator().manual_seed(2))


def test_rms_norm_equals_its_formula() -> None:
    torch.manual_seed(0)
    norm, x = RMSNorm(6, eps=0.01), torch.randn(2, 3, 6)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5, 0.0, 3.0]))
    for row, out in zip(x.view(-1, 6).tolist(), norm(x).view(-1, 6).tolist(), strict=True):
        root = math.sqrt(sum(value * value for value in row) / 6 + 0.01)
        wanted = [value / root * weight for value, weight in zip(row, norm.weight.tolist(), strict=True)]
        assert out == pytest.approx(wanted, abs=1e-6)


def test_rms_norm_keeps_bfloat16_and_measures_in_float32() -> None:
    x = torch.full((1, 512), 3.0, dtype=torch.bfloat16)
    out = RMSNorm(512, eps=0.0)(x)
    assert out.dtype is torch.bfloat16
    assert torch.equal(out.float(), torch.ones(1, 512))


def test_rotary_embedding_turns_each_pair_by_its_angle() -> None:
    rotary, x = RotaryEmbedding(8, context=5, theta=100.0), torch.randn(1, 1, 5, 8)
    out = rotary(x)
    for position in range(5):
        for pair in range(4):
            angle = position / 100.0 ** (2 * pair / 8)
            turned = complex(x[0, 0, position, pair], x[0, 0, position, pair + 4]) * complex(
                math.cos(angle), math.sin(angle)
            )
            assert out[0, 0, position, pair].item() == pytest.approx(turned.real, abs=1e-5)
            assert out[0, 0, position, pair + 4].item() == pytest.approx(turned.imag, abs=1e-5)


def test_rotary_scores_depend_on_distance_only() -> None:
    rotary = RotaryEmbedding(8, context=12)
    q, k = torch.randn(8), torch.randn(8)
    turned_q, turned_k = rotary(q.expand(1, 1, 12, 8))[0, 0], rotary(k.expand(1, 1, 12, 8))[0, 0]
    scores = turned_q @ turned_k.T
    for distance in (-3, 0, 5):
        assert torch.allclose(scores.diagonal(distance), scores.diagonal(distance)[0], atol=1e-5)
    assert not torch.allclose(scores[0], scores[0, 0], atol=1e-2)


def slow_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    out = torch.zeros_like(queries)
    group = queries.shape[1] // keys.shape[1]
    for b in range(queries.shape[0]):
        for head in range(queries.shape[1]):
            for t in range(queries.shape[2]):
                scores = [float(queries[b, head, t] @ keys[b, head // group, s]) for s in range(t + 1)]
                scores = [score / math.sqrt(queries.shape[3]) for score in scores]
                weights = [math.exp(score - max(scores)) for score in scores]
                for s, weight in enumerate(weights):
                    out[b, head, t] += weight / sum(weights) * values[b, head // group, s]
    return out


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_attention_equals_its_formula(kv_heads: int) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 4, 7, 6), torch.randn(2, kv_heads, 7, 6), torch.randn(2, kv_heads, 7, 6)
    torch.testing.assert_close(attention(q, k, v), slow_attention(q, k, v), atol=1e-5, rtol=1e-5)


def test_swiglu_equals_its_formula() -> None:
    torch.manual_seed(0)
    mlp, x = SwiGLU(4, 5), torch.randn(2, 4)
    gate = x @ mlp.gate.weight.T
    wanted = (gate / (1 + torch.exp(-gate)) * (x @ mlp.up.weight.T)) @ mlp.down.weight.T
    torch.testing.assert_close(mlp(x), wanted)


def test_grouped_queries_equal_repeated_keys_and_values() -> None:
    grouped, full = tiny(kv_heads=2), tiny(kv_heads=4)
    weights = grouped.state_dict()
    for name in weights:
        if "key" in name or "value" in name:  # [2 * 8, 32]: each head's eight rows twice
            weights[name] = weights[name].view(2, 8, 32).repeat_interleave(2, dim=0).reshape(32, 32)
    full.load_state_dict(weights)
    torch.testing.assert_close(grouped(tokens()), full(tokens()))


def test_later_tokens_never_change_earlier_logits() -> None:
    model, before = tiny(), tokens()
    for changed in (1, 7, 15):
        after = before.clone()
        after[:, changed:] = (after[:, changed:] + 1) % 50
        old, new = model(before), model(after)
        torch.testing.assert_close(new[:, :changed], old[:, :changed])
        assert (new[:, changed:] - old[:, changed:]).abs().amax(-1).min() > 1e-3
        torch.testing.assert_close(model(before[:, :changed]), old[:, :changed])  # nor does their being there


def test_first_weights_follow_gpt2() -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 500,
        "layers": 8,
        "width": 128,
        "heads": 4,
        "kv_heads": 2,
        "hidden": 352,
        "context": 8,
    }
    model = Transformer(ModelConfig(**shape))
    for name, weights in model.named_parameters():
        if weights.ndim == 1:
            assert (weights == 1).all(), name
        else:
            wanted = 0.02 / 4 if name.endswith(("attention.output.weight", "mlp.down.weight")) else 0.02
            assert weights.std().item() == pytest.approx(wanted, rel=0.03), name
    loss = torch.nn.functional.cross_entropy(model(torch.arange(8)[None])[0], torch.arange(1, 9))
    assert loss.item() == pytest.approx(math.log(500), rel=0.05)  # it knows nothing yet


@pytest.mark.parametrize("tied", [True, False])
def test_parameter_count(tied: bool) -> None:
    block = 32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48 + 2 * 32
    assert tiny(tie_embeddings=tied).parameter_count() == 50 * 32 * (1 if tied else 2) + 2 * block + 32


def test_gradients_equal_finite_differences() -> None:
    model = tiny(layers=1).double()
    sequence = tokens(1, 6)

    def loss() -> Tensor:
        return torch.nn.functional.cross_entropy(model(sequence)[0, :-1], sequence[0, 1:])

    loss().backward()  # type: ignore[no-untyped-call]
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        place = int(weights.grad.abs().argmax())
        flat, step = weights.data.view(-1), 1e-3  # not smaller: norm and positions are computed in float32
        kept = flat[place].item()
        flat[place] = kept + step
        above = loss().item()
        flat[place] = kept - step
        below = loss().item()
        flat[place] = kept
        assert weights.grad.view(-1)[place].item() == pytest.approx((above - below) / (2 * step), rel=0.02), name


@pytest.mark.parametrize(("tied", "kv_heads", "theta"), [(True, 2, 10_000.0), (False, 1, 500.0), (False, 4, 10_000.0)])
def test_transformers_loads_the_export_with_equal_logits(
    tmp_path: Path, tied: bool, kv_heads: int, theta: float
) -> None:
    from transformers import LlamaForCausalLM

    model = tiny(tie_embeddings=tied, kv_heads=kv_heads, rope_theta=theta)
    export_model(model, tmp_path, end_of_text=7)
    peer, loading = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(loading.values()), loading  # no missing, unexpected or mismatched weight
    assert (peer.config.bos_token_id, peer.config.eos_token_id, peer.config.pad_token_id) == (None, 7, 7)
    assert peer.config.max_position_embeddings == 16
    assert peer.dtype is torch.float32
    with torch.no_grad():
        torch.testing.assert_close(model(tokens()), peer(tokens()).logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_load_model_reads_what_transformers_saves(tmp_path: Path, tied: bool) -> None:
    from transformers import LlamaForCausalLM

    model = tiny(tie_embeddings=tied, rope_theta=500.0)
    export_model(model, tmp_path / "ours", end_of_text=7)
    LlamaForCausalLM.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    saved = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert "rope_theta" not in saved
    assert saved["rope_parameters"]["rope_theta"] == 500.0
    again = load_model(tmp_path / "theirs")
    assert again.config == model.config
    assert torch.equal(again(tokens()), model(tokens()))
    for rope in ({"rope_theta": 500.0, "rope_type": "linear", "factor": 2.0}, [1]):
        (tmp_path / "theirs" / "config.json").write_text(json.dumps(saved | {"rope_parameters": rope}))
        with pytest.raises(UserError, match="rotary positions other than the default are not supported"):
            load_model(tmp_path / "theirs")


@pytest.mark.parametrize("tied", [True, False])
def test_load_model_reads_the_export_back_exactly(tmp_path: Path, tied: bool) -> None:
    model = tiny(tie_embeddings=tied)
    export_model(model, tmp_path, end_of_text=0)
    dice = torch.get_rng_state()
    again = load_model(tmp_path)
    assert torch.equal(torch.get_rng_state(), dice)
    assert again.config == model.config
    assert torch.equal(again(tokens()), model(tokens()))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_load_model_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load_model(tmp_path)
    export_model(tiny(), tmp_path, end_of_text=0)
    settings = (tmp_path / "config.json").read_text()
    for text, message in (
        ("{", "cannot be read as JSON"),
        ("[]", "not a model exported by this trainer"),
        (settings.replace('"llama"', '"gpt2"'), "not a model exported by this trainer"),
        (settings.replace('"hidden_size": 32', '"hidden_size": 64'), "does not match"),
        (settings.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3'), "lacks the tensor 'model.layers.2"),
        (settings.replace('"vocab_size"', '"words"'), "lacks 'vocab_size'"),
    ):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match=message) as caught:
            load_model(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / "config.json").write_text(settings)
    (tmp_path / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:-9])
    with pytest.raises(UserError, match="does not match"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: no such file"):
        load_model(tmp_path)
