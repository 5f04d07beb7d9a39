"""Made-up checkpoints of every family of recognisers: tiny, with random weights and a vocabulary of some words."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.speech.make_speech_to_text_2 import KEPT, weights_of

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
WORDS = (
    "the",
    "dog",
    "barks",
    "at",
    "a",
    "bell",
    "and",
    "rain",
    "falls",
    "on",
    "tin",
    "roofs",
    "now",
    "we",
    "go",
    "home",
)


def make(family: str, directory: Path) -> Path:
    """Write a checkpoint of one of the `FAMILIES`, and return where it is."""
    directory.mkdir(parents=True, exist_ok=True)
    FAMILIES[family](directory)
    return directory


def _save(model: Any, directory: Path, *others: Any) -> None:
    """Save a model whose weights are large enough that it tells inputs apart, and that never ends a text early."""
    import torch

    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan_in**-0.5)
    model.eval().save_pretrained(directory)
    for other in others:
        other.save_pretrained(directory)


def _pieces() -> dict[str, int]:
    """Special tokens, words, and parts of words, as SentencePiece writes them."""
    words = [f"▁{word}" for word in WORDS]
    return {piece: number for number, piece in enumerate([*SPECIAL, *words, "s", "ing", "er", "."])}


def _piece_tokenizer(kind: Any = None, **options: Any) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(_pieces(), unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return (kind or PreTrainedTokenizerFast)(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", **options
    )


def _wav2vec2_config(**changes: Any) -> Any:
    from transformers import Wav2Vec2Config

    usual: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": (8, 8, 8),
        "conv_kernel": (10, 8, 4),
        "conv_stride": (5, 8, 8),
        "num_feat_extract_layers": 3,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
    }
    return Wav2Vec2Config(**usual | changes)


def _wav2vec2_extractor() -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    return Wav2Vec2FeatureExtractor(return_attention_mask=False)


def _wav2vec2(directory: Path) -> None:
    import torch
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

    signs = [*SPECIAL, "|", "'", *string.ascii_uppercase]
    path = directory / "vocab.json"
    path.write_text(json.dumps({sign: number for number, sign in enumerate(signs)}))
    model = Wav2Vec2ForCTC(_wav2vec2_config(vocab_size=len(signs), pad_token_id=0))
    # Now and then a space, and no special tokens, which the pipeline would write out.
    model.lm_head.bias.data[:5] = torch.tensor([0.5, -99, -99, -99, 1.0])
    _save(model, directory, _wav2vec2_extractor(), Wav2Vec2CTCTokenizer(str(path)))


def _whisper_tokens() -> dict[str, int]:
    """Bytes, words with the sign of a space before them, and what tells Whisper what to do."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    usual = [*bytes_to_unicode().values(), *(f"Ġ{word}" for word in WORDS)]
    return {token: number for number, token in enumerate(usual)}


def _whisper(directory: Path, *, has_word_times: bool = True) -> None:
    from tokenizers import AddedToken
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration
    from transformers import WhisperTokenizer as Tokenizer

    vocabulary = _whisper_tokens()
    tokenizer = Tokenizer(vocab=vocabulary, merges=[], pad_token="<|endoftext|>")
    told = ["<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>", "<|startoflm|>"]
    told += ["<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": told})
    # Times are no special tokens, and lie beyond them.
    tokenizer.add_tokens([AddedToken(f"<|{step * 0.02:.2f}|>", special=False) for step in range(1_501)])
    number = {token: tokenizer.convert_tokens_to_ids(token) for token in ["<|endoftext|>", *told]}
    size = len(tokenizer)
    config = WhisperConfig(
        vocab_size=size, num_mel_bins=8, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, d_model=16, max_source_positions=1_500,
        max_target_positions=64, decoder_start_token_id=number["<|startoftranscript|>"],
        pad_token_id=number["<|endoftext|>"], bos_token_id=number["<|endoftext|>"],
        eos_token_id=number["<|endoftext|>"], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    options = {"alignment_heads": [[0, 0], [1, 1]]} if has_word_times else {}
    model.generation_config = GenerationConfig(
        decoder_start_token_id=number["<|startoftranscript|>"], pad_token_id=number["<|endoftext|>"],
        eos_token_id=number["<|endoftext|>"], bos_token_id=number["<|endoftext|>"], is_multilingual=True,
        lang_to_id={"<|en|>": number["<|en|>"], "<|de|>": number["<|de|>"]},
        task_to_id={"translate": number["<|translate|>"], "transcribe": number["<|transcribe|>"]},
        no_timestamps_token_id=number["<|notimestamps|>"], prev_sot_token_id=number["<|startofprev|>"],
        max_initial_timestamp_index=50, max_length=48, **options,
    )  # fmt: skip
    _save(model, directory, tokenizer, WhisperFeatureExtractor(feature_size=8))


def _moonshine(directory: Path) -> None:
    from transformers import MoonshineConfig, MoonshineForConditionalGeneration

    config = MoonshineConfig(
        vocab_size=len(_pieces()), hidden_size=16, intermediate_size=24, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        max_position_embeddings=40, bos_token_id=1, decoder_start_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    extractor = _wav2vec2_extractor()
    extractor.do_normalize = False
    _save(MoonshineForConditionalGeneration(config), directory, extractor, _piece_tokenizer())


def _parakeet_encoder() -> dict[str, Any]:
    return {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
        "subsampling_conv_channels": 8, "num_mel_bins": 16, "max_position_embeddings": 1_000,
    }  # fmt: skip


def _parakeet(directory: Path, kind: str) -> None:
    import transformers
    from transformers import ParakeetFeatureExtractor, ParakeetProcessor, ParakeetTokenizer

    tokens = len(_pieces())
    extractor = ParakeetFeatureExtractor(feature_size=16)
    if kind == "CTC":
        config = transformers.ParakeetCTCConfig(vocab_size=tokens, pad_token_id=0, encoder_config=_parakeet_encoder())
    else:
        config = getattr(transformers, f"Parakeet{kind}Config")(
            vocab_size=tokens + 1, decoder_hidden_size=16, num_decoder_layers=1, blank_token_id=tokens, pad_token_id=0,
            max_symbols_per_step=3, encoder_config=_parakeet_encoder(),
            **({"durations": [1, 2, 3]} if kind == "TDT" else {}),
        )  # fmt: skip
    tokenizer = _piece_tokenizer(ParakeetTokenizer)
    if kind != "CTC":
        tokenizer.add_special_tokens({"additional_special_tokens": ["<blank>"]})
    model = getattr(transformers, f"ParakeetFor{kind}")(config)
    if kind == "CTC":
        model.ctc_head.bias.data[1:4] = -99
    else:
        model.generation_config.decoder_start_token_id = tokens
    if kind == "TDT":
        # As published ones have it: durations are no tokens.
        model.generation_config.suppress_tokens = list(range(tokens + 1, tokens + 1 + len(config.durations)))
    _save(model, directory, ParakeetProcessor(extractor, tokenizer))


def _speech_to_text(directory: Path) -> None:
    from transformers import Speech2TextConfig, Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration

    pieces = _pieces() | {"<lang:de>": len(_pieces()), "<lang:fr>": len(_pieces()) + 1}
    (directory / "vocab.json").write_text(json.dumps(pieces))
    config = Speech2TextConfig(
        vocab_size=len(pieces), encoder_layers=1, decoder_layers=1, encoder_ffn_dim=24, decoder_ffn_dim=24,
        encoder_attention_heads=2, decoder_attention_heads=2, d_model=16, conv_channels=16, input_feat_per_channel=16,
        max_source_positions=3_000, max_target_positions=40, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=2,
    )  # fmt: skip
    extractor = Speech2TextFeatureExtractor(feature_size=16, num_mel_bins=16)
    model = Speech2TextForConditionalGeneration(config)
    model.generation_config.suppress_tokens = [0, 1, 2, 3]
    _save(model, directory, extractor)
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Speech2TextTokenizer"}))


def _seamless(directory: Path, version: str) -> None:
    import transformers
    from transformers import GenerationConfig, SeamlessM4TFeatureExtractor

    config = getattr(transformers, f"SeamlessM4T{version}Config")(
        vocab_size=len(_pieces()) + 2, t2u_vocab_size=16, hidden_size=16, max_position_embeddings=40, encoder_layers=1,
        encoder_ffn_dim=16, encoder_attention_heads=2, decoder_layers=1, decoder_ffn_dim=16, decoder_attention_heads=2,
        speech_encoder_layers=1, speech_encoder_attention_heads=2, speech_encoder_intermediate_size=16,
        conv_depthwise_kernel_size=3, feature_projection_input_dim=160, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=2,
    )  # fmt: skip
    model = getattr(transformers, f"SeamlessM4T{version}ForSpeechToText")(config)
    tokenizer = _piece_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["__eng__", "__deu__"]})
    languages = {"eng": len(_pieces()), "deu": len(_pieces()) + 1}
    model.generation_config = GenerationConfig(
        decoder_start_token_id=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, max_new_tokens=20,
        text_decoder_lang_to_code_id=languages, suppress_tokens=[0, 1, 2, 3, *languages.values()],
    )  # fmt: skip
    _save(model, directory, tokenizer, SeamlessM4TFeatureExtractor())


def _encoder_decoder(directory: Path) -> None:
    from transformers import BartConfig, BartForCausalLM, SpeechEncoderDecoderModel, Wav2Vec2Model

    decoder = BartForCausalLM(
        BartConfig(
            vocab_size=len(_pieces()), d_model=16, decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=24,
            encoder_layers=1, encoder_attention_heads=2, encoder_ffn_dim=24, max_position_embeddings=40,
            pad_token_id=0, bos_token_id=1, eos_token_id=2, is_decoder=True, add_cross_attention=True,
            decoder_start_token_id=2, forced_eos_token_id=None,
        )
    )  # fmt: skip
    model = SpeechEncoderDecoderModel(encoder=Wav2Vec2Model(_wav2vec2_config()), decoder=decoder)
    for config in (model.config, model.generation_config):
        config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 2
    _save(model, directory, _wav2vec2_extractor(), _piece_tokenizer())


def _speech_to_text_2(directory: Path) -> None:
    """As facebook/s2t-wav2vec2-large-en-de is kept, by transformers 4."""
    kept = np.load(KEPT)
    (directory / "config.json").write_text(str(kept["config"]))
    weights = weights_of(json.loads(str(kept["shapes"])))
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    parts = ["<s>", "<pad>", "</s>", "<unk>", *(f"{word}@@" for word in WORDS[:5]), *WORDS[:15]]
    (directory / "vocab.json").write_text(json.dumps({part: number for number, part in enumerate(parts)}))
    (directory / "merges.txt").write_text("#version: 0.2\nt h\n")
    (directory / "preprocessor_config.json").write_text(
        json.dumps({"feature_extractor_type": "Wav2Vec2FeatureExtractor", "processor_class": "Speech2Text2Processor"})
    )
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Speech2Text2Tokenizer"}))


def make_onnx(directory: Path) -> Path:
    """A model of onnx-asr: NeMo's CTC, of one convolution, which is given 80 bands every 10 ms."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    directory.mkdir(parents=True, exist_ok=True)
    pieces = [*(f"▁{word}" for word in WORDS), "s", "ing", "er", "<blk>"]
    (directory / "vocab.txt").write_text("".join(f"{piece} {number}\n" for number, piece in enumerate(pieces)))
    (directory / "config.json").write_text(json.dumps({"model_type": "nemo-conformer-ctc", "features_size": 80}))
    weights = np.random.default_rng(5).standard_normal((len(pieces), 80, 8)).astype(np.float32) / 25
    nodes = [
        helper.make_node("Conv", ["audio_signal", "weights"], ["bands"], strides=[8], pads=[0, 7]),
        helper.make_node("Transpose", ["bands"], ["frames"], perm=[0, 2, 1]),
        helper.make_node("LogSoftmax", ["frames"], ["logprobs"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "ctc",
        [
            helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["batch", 80, "time"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
        ],
        [helper.make_tensor_value_info("logprobs", TensorProto.FLOAT, ["batch", "frames", len(pieces)])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, directory / "model.onnx")
    return directory


FAMILIES: dict[str, Callable[[Path], None]] = {
    "whisper": _whisper,
    "whisper_of_phrases": lambda directory: _whisper(directory, has_word_times=False),
    "moonshine": _moonshine,
    "wav2vec2": _wav2vec2,
    "parakeet_ctc": lambda directory: _parakeet(directory, "CTC"),
    "parakeet_tdt": lambda directory: _parakeet(directory, "TDT"),
    "parakeet_rnnt": lambda directory: _parakeet(directory, "RNNT"),
    "speech_to_text": _speech_to_text,
    "seamless_m4t": lambda directory: _seamless(directory, ""),
    "seamless_m4t_v2": lambda directory: _seamless(directory, "v2"),
    "encoder_decoder": _encoder_decoder,
    "speech_to_text_2": _speech_to_text_2,
}
