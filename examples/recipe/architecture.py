"""The sizes of the built-in checkpoint: an ordinary PE Audio model, small.

The DAC encoder's channel count doubles at every strided convolution, and upstream runs three residual units at the
full 48 kHz with `encoder_hidden_size` channels. Those units dominate the cost, so the count starts at two and the
strides are many and short: 2 channels at 48 kHz, 4 at 8 kHz, 8 at 4 kHz, 16 at 2 kHz, 32 at 500 Hz, 64 at 250 Hz,
128 at 125 Hz and 256 at 25 Hz, one vector for each frame of 1,920 samples.
"""

from transformers import PeAudioConfig

SAMPLE_RATE_HZ = 48_000
FRAME_SAMPLES = 1_920
FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME_SAMPLES
STRIDES = (6, 2, 2, 4, 2, 2, 5)
CHANNELS = 2
EMBEDDING_SIZE = 192


def checkpoint_config(vocabulary_size: int) -> PeAudioConfig:
    """The configuration of the checkpoint for a tokenizer of `vocabulary_size` entries."""
    return PeAudioConfig(
        text_config={
            "model_type": "modernbert",
            "vocab_size": vocabulary_size,
            "hidden_size": EMBEDDING_SIZE,
            "intermediate_size": 288,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "cls_token_id": 2,
            "sep_token_id": 3,
        },
        audio_config={
            "model_type": "pe_audio_encoder",
            "hidden_size": 192,
            "intermediate_size": 448,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "head_dim": 64,
            "dac_config": {
                "model_type": "dac",
                "downsampling_ratios": list(STRIDES),
                "encoder_hidden_size": CHANNELS,
                "decoder_hidden_size": CHANNELS * 2 ** len(STRIDES),
                "codebook_dim": 128,
                "sampling_rate": SAMPLE_RATE_HZ,
            },
        },
    )
