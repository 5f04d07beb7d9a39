"""A tiny Qwen2-Audio of random weights in the two files that llama.cpp wants: what answers, and what hears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_OF_TEXT = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OF_SOUND = {
    "self_attn_layer_norm": "ln1",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "final_layer_norm": "ln2",
    "fc1": "ffn_up",
    "fc2": "ffn_down",
}


def write_gguf(model: Any, processor: Any, directory: Path) -> tuple[Path, Path]:
    """Write the two files of what `make_language_model` made of Qwen2-Audio."""
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    return (
        _write_text(weights, model.config.text_config, processor.tokenizer, directory / "text.gguf"),
        _write_sound(weights, model.config, directory / "mmproj.gguf"),
    )


def _write_text(weights: dict[str, Any], config: Any, tokenizer: Any, file: Path) -> Path:
    import gguf

    writer = gguf.GGUFWriter(file, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    marks = set(tokenizer.added_tokens_decoder)
    kinds = [gguf.TokenType.CONTROL if row in marks else gguf.TokenType.NORMAL for row in range(len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    # It wants some.
    writer.add_token_merges([f"{tokens[0]} {tokens[1]}"])
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_TEMPLATE)
    of = "model.language_model" if any(name.startswith("model.") for name in weights) else "language_model.model"
    writer.add_tensor("token_embd.weight", weights[f"{of}.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", weights[f"{of}.norm.weight"])
    (head,) = (tensor for name, tensor in weights.items() if name.endswith("lm_head.weight"))
    writer.add_tensor("output.weight", head)
    _add_layers(writer, weights, f"{of}.layers.", "blk.", _OF_TEXT)
    return _written(writer, file)


def _write_sound(weights: dict[str, Any], config: Any, file: Path) -> Path:
    import gguf
    import numpy as np

    audio = config.audio_config
    writer = gguf.GGUFWriter(file, "clip")
    writer.add_type(gguf.GGUFType.MMPROJ)
    writer.add_clip_has_audio_encoder(True)
    writer.add_clip_projector_type("qwen2a")
    writer.add_audio_projection_dim(config.text_config.hidden_size)
    writer.add_audio_embedding_length(audio.d_model)
    writer.add_audio_feed_forward_length(audio.encoder_ffn_dim)
    writer.add_audio_block_count(audio.encoder_layers)
    writer.add_audio_head_count(audio.encoder_attention_heads)
    writer.add_audio_num_mel_bins(audio.num_mel_bins)
    writer.add_audio_attention_layernorm_eps(1e-5)
    of = next(name for name in weights if "conv1.weight" in name).removesuffix("conv1.weight")
    for number in (1, 2):
        writer.add_tensor(f"a.conv1d.{number}.weight", weights[f"{of}conv{number}.weight"].astype(np.float16))
        writer.add_tensor(f"a.conv1d.{number}.bias", weights[f"{of}conv{number}.bias"][:, None])
    writer.add_tensor("a.position_embd.weight", weights[f"{of}embed_positions.weight"])
    for end in ("weight", "bias"):
        writer.add_tensor(f"a.post_ln.{end}", weights[f"{of}layer_norm.{end}"])
        (tensor,) = (value for name, value in weights.items() if name.endswith(f"multi_modal_projector.linear.{end}"))
        writer.add_tensor(f"mm.a.fc.{end}", tensor)
    _add_layers(writer, weights, f"{of}layers.", "a.blk.", _OF_SOUND)
    return _written(writer, file)


def _add_layers(writer: Any, weights: dict[str, Any], before: str, after: str, names: dict[str, str]) -> None:
    for name, tensor in weights.items():
        if name.startswith(before):
            layer, _, part = name.removeprefix(before).partition(".")
            stem, _, end = part.rpartition(".")
            writer.add_tensor(f"{after}{layer}.{names[stem]}.{end}", tensor)


def _written(writer: Any, file: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
