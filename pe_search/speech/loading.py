"""Load a recogniser of transformers: the model, what makes features of audio, and what makes text of tokens."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForCTC,
    AutoModelForRNNT,
    AutoModelForSpeechSeq2Seq,
    AutoModelForTDT,
    AutoTokenizer,
    GenerationConfig,
    SpeechEncoderDecoderConfig,
    SpeechEncoderDecoderModel,
    TrOCRConfig,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CTC_MAPPING_NAMES,
    MODEL_FOR_RNNT_MAPPING_NAMES,
    MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    MODEL_FOR_TDT_MAPPING_NAMES,
)

from pe_search.errors import CheckpointError, first_line
from pe_search.pe_audio.checkpoint import weights_in
from pe_search.pe_audio.towers import quiet
from pe_search.speech.checkpoint import SpeechCheckpoint, is_speech_to_text_2, read_vocabulary
from pe_search.speech.vocabulary import PieceVocabulary, WordPartVocabulary

_KINDS = (
    ("seq2seq", AutoModelForSpeechSeq2Seq, MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES),
    ("ctc", AutoModelForCTC, MODEL_FOR_CTC_MAPPING_NAMES),
    ("transducer", AutoModelForTDT, MODEL_FOR_TDT_MAPPING_NAMES),
    ("transducer", AutoModelForRNNT, MODEL_FOR_RNNT_MAPPING_NAMES),
)
# What only training needs, and published checkpoints often lack.
_FOR_TRAINING = re.compile(r"masked_spec_embed$")
# How torch named the two halves of a weight with weight normalisation, and names them now.
_RENAMED = (
    (re.compile(r"weight_g$"), "parametrizations.weight.original0"),
    (re.compile(r"weight_v$"), "parametrizations.weight.original1"),
    (re.compile(r"^decoder\.lm_head\."), "decoder.output_projection."),
)


@dataclass(frozen=True, slots=True)
class LoadedRecogniser:
    """What is loaded of a checkpoint.

    Attributes:
        kind: How it goes from audio to tokens: `seq2seq`, `ctc` or `transducer`.
        model: In evaluation mode, on the CPU.
        extractor: Makes features of audio.
        tokenizer: Makes text of tokens.
    """

    kind: str
    model: Any
    extractor: Any
    tokenizer: Any


def load_recogniser(checkpoint: SpeechCheckpoint, dtype: torch.dtype) -> LoadedRecogniser:
    """Load a checkpoint, ready for inference on the CPU.

    Raises:
        CheckpointError: If it is of no kind that recognises speech, is incomplete, or can't be loaded.
    """
    kind, model_class = _kind_of(checkpoint)
    try:
        with quiet():
            if is_speech_to_text_2(checkpoint.config):
                model = _load_speech_to_text_2(checkpoint, dtype)
            else:
                model = _load(model_class, checkpoint, dtype)
            extractor = AutoFeatureExtractor.from_pretrained(checkpoint.directory, local_files_only=True)
            tokenizer = _load_tokenizer(checkpoint)
    except CheckpointError:
        raise
    # Whatever upstream makes of files that aren't what they should be: it has a dozen kinds of exception for that.
    except Exception as error:
        raise CheckpointError(f"{checkpoint.name} can't be loaded: {first_line(error)}") from error
    return LoadedRecogniser(kind, model.eval().requires_grad_(False), extractor, tokenizer)


def _kind_of(checkpoint: SpeechCheckpoint) -> tuple[str, Any]:
    for kind, model_class, names in _KINDS:
        if checkpoint.model_type in names:
            return kind, model_class
    raise CheckpointError(
        f"{checkpoint.name} is a {checkpoint.model_type} checkpoint, which recognises no speech. Use one of Whisper, "
        "Moonshine, wav2vec 2.0, Parakeet, Speech2Text, SeamlessM4T or their like."
    )


def _load(model_class: Any, checkpoint: SpeechCheckpoint, dtype: torch.dtype) -> Any:
    config = AutoConfig.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)
    with torch.device("meta"):
        # A copy, since a class may change its configuration to its liking.
        made = model_class.from_config(copy.deepcopy(config), trust_remote_code=False)
    _refuse_more_weights_than_there_are(made, checkpoint)
    model, report = model_class.from_pretrained(
        checkpoint.directory,
        config=config,
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    _refuse_missing(report["missing_keys"], checkpoint)
    return model


def _load_speech_to_text_2(checkpoint: SpeechCheckpoint, dtype: torch.dtype) -> Any:
    """Load a translator whose decoder is of the class `Speech2Text2ForCausalLM` of transformers 4.

    It is TrOCR's with sinusoidal positions, without a normalisation of the embeddings, and with another name for the
    last layer. `from_pretrained` would leave the sinusoids, which are no weights, on the meta device.
    """
    config = dict(checkpoint.config)
    decoder = dict(config["decoder"])
    decoder |= {
        "model_type": "trocr",
        "use_learned_position_embeddings": False,
        "layernorm_embedding": False,
        "max_position_embeddings": decoder.pop("max_target_positions", 1_024),
        "cross_attention_hidden_size": None,
        "is_decoder": True,
        "add_cross_attention": True,
    }
    encoder = AutoConfig.for_model(**config["encoder"])
    own = {name: value for name, value in config.items() if name not in ("encoder", "decoder", "model_type")}
    joined = SpeechEncoderDecoderConfig(encoder=encoder.to_dict(), decoder=TrOCRConfig(**decoder).to_dict(), **own)
    with torch.device("meta"):
        _refuse_more_weights_than_there_are(SpeechEncoderDecoderModel(copy.deepcopy(joined)), checkpoint)
    model = SpeechEncoderDecoderModel(joined)
    weights = {}
    for file in weights_in(checkpoint.name, checkpoint.directory):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dictionary)
                weights[_renamed(name)] = tensors.get_tensor(name)
    first, last = "decoder.model.decoder.embed_tokens.weight", "decoder.output_projection.weight"
    for one, other in ((first, last), (last, first)):
        # Tied weights are in the file once.
        if one not in weights and other in weights and decoder.get("tie_word_embeddings", True):
            weights[one] = weights[other]
    # What is calculated, and was kept all the same.
    weights = {name: value for name, value in weights.items() if not name.endswith("embed_positions.weights")}
    missing, _ = model.load_state_dict(weights, strict=False)
    _refuse_missing(missing, checkpoint)
    model.generation_config = _generation_config(checkpoint)
    return model.to(dtype)


def _renamed(name: str) -> str:
    for before, now in _RENAMED:
        name = before.sub(now, name)
    return name


def _generation_config(checkpoint: SpeechCheckpoint) -> Any:
    """How a translator writes: as its own file has it, or else its configuration, as transformers 4 kept it."""
    if (checkpoint.directory / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(checkpoint.directory, local_files_only=True)
    decoder = checkpoint.config["decoder"]
    named = ("decoder_start_token_id", "bos_token_id", "eos_token_id", "pad_token_id", "num_beams", "max_length")
    both = {**{name: decoder.get(name) for name in named}, **{name: checkpoint.config.get(name) for name in named}}
    values = {name: both[name] if both[name] is not None else decoder.get(name) for name in named}
    return GenerationConfig(**{name: value for name, value in values.items() if value is not None})


def _load_tokenizer(checkpoint: SpeechCheckpoint) -> Any:
    if is_speech_to_text_2(checkpoint.config):
        return WordPartVocabulary(read_vocabulary(checkpoint.name, checkpoint.directory))
    if checkpoint.model_type == "speech_to_text":
        path = checkpoint.directory / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        tokens = read_vocabulary(checkpoint.name, checkpoint.directory)
        return PieceVocabulary(tokens, is_upper=settings.get("do_upper_case") is True)
    return AutoTokenizer.from_pretrained(checkpoint.directory, local_files_only=True, trust_remote_code=False)


def _refuse_missing(names: Any, checkpoint: SpeechCheckpoint) -> None:
    """Refuse what upstream would fill with random numbers."""
    missing = sorted(name for name in names if not _FOR_TRAINING.search(name))
    if missing:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CheckpointError(
            f"{checkpoint.name} lacks weights: {missing[0]}{others}. Its files are incomplete or made for another job."
        )


def _refuse_more_weights_than_there_are(model: Any, checkpoint: SpeechCheckpoint) -> None:
    """Refuse a configuration that asks for more than the files hold: upstream would make room for it all first."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    held_bytes = sum(file.stat().st_size for file in weights_in(checkpoint.name, checkpoint.directory))
    if weights > held_bytes:
        raise CheckpointError(
            f"{checkpoint.name}: its configuration asks for {weights:,} weights, and its files hold {held_bytes:,} "
            "bytes."
        )
