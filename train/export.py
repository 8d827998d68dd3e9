"""A trained model on disk in Hugging Face's Llama format: `model.safetensors` and `config.json`.

`transformers.LlamaForCausalLM.from_pretrained(directory)` gives the same logits, and `load_model` reads the same files
without transformers. Only names change: RoPE rotates the same halves in both, so no weights are permuted.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from pipeline.errors import UserError
from pipeline.files import write_text
from pipeline.train.checkpoint import write_tensors
from pipeline.train.model import ModelConfig, Transformer

_NAMES = {  # our names to Llama's, without the layer's number
    "embedding.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "head.weight": "lm_head.weight",
    "attention_norm.weight": "input_layernorm.weight",
    "attention.query.weight": "self_attn.q_proj.weight",
    "attention.key.weight": "self_attn.k_proj.weight",
    "attention.value.weight": "self_attn.v_proj.weight",
    "attention.output.weight": "self_attn.o_proj.weight",
    "mlp_norm.weight": "post_attention_layernorm.weight",
    "mlp.gate.weight": "mlp.gate_proj.weight",
    "mlp.up.weight": "mlp.up_proj.weight",
    "mlp.down.weight": "mlp.down_proj.weight",
}


def llama_name(name: str) -> str:
    """Llama's name for one of our tensors: `blocks.3.mlp.up.weight` is `model.layers.3.mlp.up_proj.weight`."""
    if name.startswith("blocks."):
        _, layer, rest = name.split(".", 2)
        return f"model.layers.{layer}.{_NAMES[rest]}"
    return _NAMES[name]


def export_model(model: Transformer, directory: Path, *, end_of_text: int) -> None:
    """Write `model.safetensors` (float32) and `config.json`; each is written completely or not at all."""
    tensors = {llama_name(name): weights.to(torch.float32) for name, weights in model.state_dict().items()}
    write_tensors(directory / "model.safetensors", tensors, {"format": "pt"})
    write_settings(model.config, directory, end_of_text=end_of_text)


def write_settings(config: ModelConfig, directory: Path, *, end_of_text: int) -> None:
    """Write `config.json` for a model of this shape, unless it is there already.

    The end-of-text token is `eos_token_id` and `pad_token_id`. `bos_token_id` is null, because documents in shards begin with
    no token of their own: a trainer that looks for a bos after each eos would see a whole shard as one document.
    """
    settings = {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,  # written, since Llama's default is 1
        "eos_token_id": end_of_text,
        "head_dim": config.width // config.heads,
        "hidden_act": "silu",
        "hidden_size": config.width,
        "initializer_range": 0.02,
        "intermediate_size": config.hidden,
        "max_position_embeddings": config.context,
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "num_key_value_heads": config.kv_heads,
        "pad_token_id": end_of_text,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tie_embeddings,
        "torch_dtype": "float32",
        "vocab_size": config.vocab_size,
    }
    path, content = directory / "config.json", json.dumps(settings, indent=2) + "\n"
    if not path.is_file() or path.read_text("utf-8", "replace") != content:
        write_text(path, content)


def read_settings(directory: Path | str) -> dict[str, Any]:
    """The exported `config.json`, also as transformers saves it; `UserError` if it is missing or not from this trainer.

    transformers 5 writes `rope_theta` into `rope_parameters`; here it is at the top in any case.
    """
    path = Path(directory) / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; a trained model's directory has config.json and model.safetensors"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON: {error}") from None
    if not isinstance(settings, dict) or settings.get("model_type") != "llama":
        raise UserError(f"{path}: not a model exported by this trainer (model_type llama, with rope_theta)")
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
        raise UserError(f"{path}: rotary positions other than the default are not supported: {rope}")
    settings = {name: rope[name] for name in ("rope_theta",) if name in rope} | settings
    if "rope_theta" not in settings:
        raise UserError(f"{path}: not a model exported by this trainer (model_type llama, with rope_theta)")
    return settings


def load_model(directory: Path | str) -> Transformer:
    """The exported model, on the CPU and in evaluation mode; `UserError` if files are missing or do not match."""
    directory = Path(directory)
    settings, path = read_settings(directory), directory / "model.safetensors"
    try:
        config = ModelConfig(
            vocab_size=settings["vocab_size"],
            layers=settings["num_hidden_layers"],
            width=settings["hidden_size"],
            heads=settings["num_attention_heads"],
            kv_heads=settings["num_key_value_heads"],
            hidden=settings["intermediate_size"],
            context=settings["max_position_embeddings"],
            rope_theta=settings["rope_theta"],
            norm_eps=settings["rms_norm_eps"],
            tie_embeddings=settings["tie_word_embeddings"],
        )
    except KeyError as error:
        raise UserError(f"{directory / 'config.json'}: lacks {error}") from None
    # The initial weights are drawn and discarded, so keep the caller's generator unchanged.
    with torch.random.fork_rng(devices=[]):
        model = Transformer(config)
    try:
        tensors = load_file(path)
        model.load_state_dict({name: tensors[llama_name(name)] for name in model.state_dict()})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a trained model's directory has it beside config.json") from None
    except KeyError as error:
        raise UserError(f"{path}: lacks the tensor {error}") from None
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: does not match config.json: {str(error).splitlines()[-1].strip()}") from None
    return model.eval()
