"""Tiny language models of real kinds with random weights, saved as published ones are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'audio' %}AUDIO{% elif part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_HEADS = {"num_hidden_layers": 1, "num_attention_heads": 2}
_MELS = 16


def make_tokenizer(*special: str) -> Any:
    """A tokenizer of bytes, with a chat's marks."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    characters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({character: row for row, character in enumerate(characters)}, []))
    # As nearly every language model has it: with a pattern of its own.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|im_start|>", "<|im_end|>", *special]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", additional_special_tokens=marks
    )


def _extractor(longest_s: int) -> Any:
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(feature_size=_MELS, sampling_rate=16_000, chunk_length=longest_s)


def _text_config(tokenizer: Any, model_type: str = "qwen2") -> dict[str, Any]:
    return {
        "model_type": model_type,
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4_096,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _whisper_like(model_type: str, longest_s: int) -> dict[str, Any]:
    sizes = {"num_mel_bins": _MELS, "hidden_size": 32, "intermediate_size": 32, **_HEADS}
    return {"model_type": model_type, "max_source_positions": 50 * longest_s, **sizes}


def _qwen2_audio(longest_s: int) -> tuple[Any, Any]:
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

    tokenizer = make_tokenizer("<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>")
    audio = {"model_type": "qwen2_audio_encoder", "num_mel_bins": _MELS, "d_model": 32, "encoder_layers": 1}
    audio |= {"max_source_positions": 50 * longest_s}
    config = Qwen2AudioConfig(
        audio_config=audio | {"encoder_attention_heads": 2, "encoder_ffn_dim": 32},
        text_config=_text_config(tokenizer),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    return Qwen2AudioForConditionalGeneration(config), Qwen2AudioProcessor(_extractor(longest_s), tokenizer)


def _audio_flamingo_3(longest_s: int) -> tuple[Any, Any]:
    from transformers import AudioFlamingo3Config, AudioFlamingo3ForConditionalGeneration, AudioFlamingo3Processor

    tokenizer = make_tokenizer("<sound>")
    config = AudioFlamingo3Config(
        audio_config=_whisper_like("audioflamingo3_encoder", longest_s),
        text_config=_text_config(tokenizer),
        audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
    )
    template = _CHATML.replace("AUDIO", "<sound>")
    processor = AudioFlamingo3Processor(_extractor(longest_s), tokenizer, template)
    return AudioFlamingo3ForConditionalGeneration(config), processor


def _music_flamingo(longest_s: int) -> tuple[Any, Any]:
    from transformers import MusicFlamingoConfig, MusicFlamingoForConditionalGeneration, MusicFlamingoProcessor

    tokenizer = make_tokenizer("<sound>", "<|sound_bos|>", "<|sound_eos|>")
    config = MusicFlamingoConfig(
        audio_config=_whisper_like("audioflamingo3_encoder", longest_s),
        text_config=_text_config(tokenizer),
        audio_token_id=tokenizer.convert_tokens_to_ids("<sound>"),
        audio_bos_token_id=tokenizer.convert_tokens_to_ids("<|sound_bos|>"),
        audio_eos_token_id=tokenizer.convert_tokens_to_ids("<|sound_eos|>"),
    )
    template = _CHATML.replace("AUDIO", "<sound>")
    processor = MusicFlamingoProcessor(_extractor(longest_s), tokenizer, template)
    return MusicFlamingoForConditionalGeneration(config), processor


def _glm_asr(longest_s: int) -> tuple[Any, Any]:
    from transformers import GlmAsrConfig, GlmAsrForConditionalGeneration, GlmAsrProcessor

    tokenizer = make_tokenizer("<|pad|>")
    config = GlmAsrConfig(
        audio_config=_whisper_like("glmasr_encoder", longest_s) | {"intermediate_size": 128},
        text_config=_text_config(tokenizer, "llama"),
        audio_token_id=tokenizer.convert_tokens_to_ids("<|pad|>"),
    )
    template = _CHATML.replace("AUDIO", "<|pad|>")
    return GlmAsrForConditionalGeneration(config), GlmAsrProcessor(_extractor(longest_s), tokenizer, template)


def _qwen2_5_omni(longest_s: int) -> tuple[Any, Any]:
    from transformers import (
        Qwen2_5OmniProcessor,
        Qwen2_5OmniThinkerConfig,
        Qwen2_5OmniThinkerForConditionalGeneration,
    )

    from pe_search.language.loading import without_pictures

    marks = {
        **{f"{kind}_token": f"<|{kind.upper()}|>" for kind in ("image", "audio", "video")},
        **{f"{kind}_{end}_token": f"<|{kind}_{end}|>" for kind in ("vision", "audio") for end in ("bos", "eos")},
    }
    tokenizer = make_tokenizer(*marks.values())
    tokenizer._set_model_specific_special_tokens(marks)
    ids = {name: tokenizer.convert_tokens_to_ids(mark) for name, mark in marks.items()}
    text = _text_config(tokenizer, "qwen2_5_omni_text")
    audio = {"num_mel_bins": _MELS, "d_model": 32, "output_dim": 32, "encoder_layers": 1}
    vision = {"depth": 1, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "out_hidden_size": 32}
    config = Qwen2_5OmniThinkerConfig(
        audio_config=audio | {"encoder_attention_heads": 2, "encoder_ffn_dim": 32},
        vision_config=vision | {"fullatt_block_indexes": [0]},
        text_config=text | {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 1e4}},
        **{f"{kind}_token_index": ids[f"{kind}_token"] for kind in ("image", "audio", "video")},
        vision_start_token_id=ids["vision_bos_token"],
        audio_start_token_id=ids["audio_bos_token"],
        audio_end_token_id=ids["audio_eos_token"],
    )
    template = _CHATML.replace("AUDIO", "<|audio_bos|><|AUDIO|><|audio_eos|>")
    # What reads images and videos can't be made without torchvision.
    processor = without_pictures(Qwen2_5OmniProcessor)(None, None, _extractor(longest_s), tokenizer, template)
    return Qwen2_5OmniThinkerForConditionalGeneration(config), processor


MAKERS: dict[str, Callable[[int], tuple[Any, Any]]] = {
    "Qwen2-Audio": _qwen2_audio,
    "Audio Flamingo 3": _audio_flamingo_3,
    "Music Flamingo": _music_flamingo,
    "GLM-ASR": _glm_asr,
    "Qwen2.5-Omni": _qwen2_5_omni,
}
KINDS: Sequence[str] = tuple(MAKERS)


def make_language_model(
    directory: Path, kind: str = "Qwen2-Audio", seed: int = 0, longest_s: int = 30
) -> tuple[Any, Any]:
    """Write a checkpoint of a kind that hears so much; returns the upstream model and the processor that it holds."""
    import torch

    torch.manual_seed(seed)
    model, processor = MAKERS[kind](longest_s)
    with torch.no_grad():
        # Large enough that the answer depends on the sound and on the question.
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 2 * parameter[0].numel() ** -0.5)
    # As published ones have it, so that only what pe-search says makes it choose the most likely token.
    model.generation_config.update(do_sample=True, temperature=0.7, top_p=0.5)
    if kind == "Qwen2.5-Omni":
        _save_as_a_part(model, directory)
        for part in (processor.feature_extractor, processor.tokenizer):
            part.save_pretrained(directory)
        (directory / "chat_template.jinja").write_text(processor.chat_template)
    else:
        model.save_pretrained(directory)
        processor.save_pretrained(directory)
    return model.eval(), processor


def _save_as_a_part(model: Any, directory: Path) -> None:
    """Save what answers as published checkpoints have it: beside what speaks, whose weights nobody needs."""
    import torch
    from safetensors.torch import save_file
    from transformers import Qwen2_5OmniConfig

    Qwen2_5OmniConfig(thinker_config=model.config.to_dict(), architectures=["Qwen2_5OmniModel"]).save_pretrained(
        directory
    )
    model.generation_config.save_pretrained(directory)
    weights = {f"thinker.{name}": tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights | {"talker.x": torch.zeros(2)}, directory / "model.safetensors", metadata={"format": "pt"})
