"""Make `speech_to_text_2.npz`: what transformers 4.49's own Speech2Text2 makes of weights that are made up.

transformers 5 has no such class any more. The file was made by

    pip install --target old --no-deps transformers==4.49.0 'tokenizers==0.21.*' 'huggingface-hub==0.29.*'
    PYTHONPATH=old python tests/speech/make_speech_to_text_2.py

with the torch of `constraints.txt`. The weights aren't kept: `weights_of` makes them again from their names.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEPT = Path(__file__).with_name("speech_to_text_2.npz")
SAMPLES = 8_000
DECODER_IDS = [2, 5, 9, 14, 7]


def weights_of(shapes: Mapping[str, Sequence[int]]) -> dict[str, NDArray[np.float32]]:
    """Weights for some names and shapes: the same ones wherever they are made, and large enough to matter."""
    weights = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
        fan_in = max(1, int(np.prod(shape[1:])))
        weights[name] = np.abs(drawn) + 0.5 if len(shape) == 1 or name.endswith("weight_g") else drawn * fan_in**-0.5
        if name.endswith("bias"):
            weights[name] = 0.1 * drawn
        weights[name] = np.asarray(weights[name], np.float32)
    return weights


def audio() -> NDArray[np.float32]:
    """Half a second of noise, at 16 kHz."""
    return np.random.default_rng(7).uniform(-0.5, 0.5, SAMPLES).astype(np.float32)


def main() -> None:
    """Make the file."""
    import torch
    from transformers import SpeechEncoderDecoderConfig, SpeechEncoderDecoderModel, Wav2Vec2Config
    from transformers.models.deprecated.speech_to_text_2 import Speech2Text2Config, Speech2Text2ForCausalLM

    encoder = Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        conv_dim=(8, 8, 8),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_feat_extract_layers=3,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        vocab_size=24,
    )
    decoder = Speech2Text2Config(
        vocab_size=24, d_model=12, decoder_layers=2, decoder_attention_heads=2, decoder_ffn_dim=20,
        max_target_positions=64,
    )  # fmt: skip
    config = SpeechEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 1, 2
    config.decoder.add_cross_attention = config.decoder.is_decoder = True
    from transformers import AutoModel

    model = SpeechEncoderDecoderModel(
        config, encoder=AutoModel.from_config(encoder), decoder=Speech2Text2ForCausalLM(config.decoder)
    ).eval()
    assert model.decoder.lm_head.weight is model.decoder.get_input_embeddings().weight
    # What is calculated, what is the same weight as another, and what only training needs.
    left_out = ("embed_positions.weights", "lm_head.weight", "masked_spec_embed")
    made = model.state_dict()
    # As `save_pretrained` of that version and checkpoints of the hub name the weights of weight normalisation.
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    shapes = {}
    for name, value in made.items():
        if name.endswith(left_out):
            continue
        for new, before in old.items():
            name = name.replace(new, before)
        shapes[name] = list(value.shape)
    weights = {}
    for name, value in weights_of(shapes).items():
        for new, before in old.items():
            name = name.replace(before, new)
        weights[name] = torch.from_numpy(value)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected, unexpected
    assert all(name.endswith(left_out) for name in missing), missing
    values = torch.from_numpy(audio())[None]
    with torch.inference_mode():
        logits = model(input_values=values, decoder_input_ids=torch.tensor([DECODER_IDS])).logits.numpy()
        ids = model.generate(values, max_new_tokens=12, num_beams=1, do_sample=False).numpy()
    np.savez_compressed(
        KEPT, config=json.dumps(config.to_dict()), shapes=json.dumps(shapes), logits=logits, generated=ids
    )


if __name__ == "__main__":
    main()
