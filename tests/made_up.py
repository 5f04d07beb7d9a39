"""Made-up checkpoints of every real layout, made-up sounds, and an embedder whose vectors the tests know.

Those who only want a sound need not wait for torch and transformers: what needs them imports them itself.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from numpy.typing import NDArray

from pe_search.efforts import EmbeddingEffort
from pe_search.records import Clip, Content
from pe_search.store import Manifest, Store, commits
from pe_search.store.catalog import CATALOG_FILE, Catalog
from pe_search.store.schema import checksum

if TYPE_CHECKING:
    from transformers import PeAudioModel, PreTrainedTokenizerFast

LAYOUTS = ("pe_audio", "pe_audio_video", "frame_level")

_WORDS = [
    "a",
    "the",
    "dog",
    "barking",
    "rain",
    "sea",
    "waves",
    "baby",
    "crying",
    "clock",
    "ticking",
    "siren",
    "church",
    "bell",
    "of",
    "sound",
    "in",
    "and",
]
_TEXT_CONFIG = {
    "model_type": "modernbert",
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
    "cls_token_id": 2,
    "sep_token_id": 3,
}
# The real ratios, so that a frame is 1,920 samples, with narrow layers.
_AUDIO_CONFIG = {
    "model_type": "pe_audio_encoder",
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "head_dim": 16,
    "dac_config": {
        "model_type": "dac",
        "downsampling_ratios": [2, 8, 10, 12],
        "encoder_hidden_size": 2,
        "codebook_dim": 8,
    },
}


def manifest(**changes: object) -> Manifest:
    """The manifest of a store of embeddings that tests make up, with some of its fields changed."""
    usual = Manifest(
        model="builtin",
        revision="c0ffee",
        dimension=3,
        window_s=10.0,
        hop_s=10.0,
        sample_rate_hz=48_000,
        logit_scale=1.0,
        logit_bias=0.0,
    )
    return replace(usual, **changes)


def edit_catalog(directory: Path, statement: str, *values: object) -> int:
    """Change a closed catalog behind pe-search's back, as if it had been written so, and return how many rows changed.

    Checksums and counts are made to fit; the rows themselves need make no sense.
    """
    with closing(sqlite3.connect(directory / CATALOG_FILE)) as db, db:
        changed = db.execute(statement, values).rowcount
        db.execute("UPDATE contents SET clips = (SELECT count(*) FROM clips WHERE content_id = contents.id)")
        db.execute("UPDATE contents SET windows = (SELECT count(*) FROM windows WHERE content_id = contents.id)")
        for table, columns in (
            ("contents", "id, digest, duration_s, missing, clips, windows"),
            ("windows", "id, content_id, start_s, end_s, embedding"),
            ("clips", "path, size_bytes, modified_ns, changed_ns, inode, content_id, indexed_at_s"),
            ("left_out", "path, size_bytes, modified_ns, changed_ns, inode, reason"),
            ("roots", "path, exclude, indexed_at_s, passed_over"),
        ):
            key = "path" if "path" in columns else "id"
            rows = db.execute(f"SELECT {key}, {columns} FROM {table}").fetchall()
            db.executemany(
                f"UPDATE {table} SET checksum = ? WHERE {key} = ?", ((checksum(*row[1:]), row[0]) for row in rows)
            )
        commits.put_counts(db)
        ids = [row[0] for row in db.execute("SELECT id FROM windows ORDER BY id")]
        last_id = commits.last_window_id(db)
        db.execute("DELETE FROM gone")
        commits.add_gone(db, commits.stretches(sorted(set(range(1, last_id + 1)) - set(ids))))
    return changed


def make_model(layout: str = "pe_audio", seed: int = 0, dac_channels: int = 2) -> PeAudioModel:
    """An upstream model of one of the `LAYOUTS` with random weights, large enough that results tell inputs apart."""
    import torch
    from transformers import PeAudioConfig, PeAudioFrameLevelModel, PeAudioModel

    torch.manual_seed(seed)
    dac_config = _AUDIO_CONFIG["dac_config"] | {"encoder_hidden_size": dac_channels}
    audio_config = _AUDIO_CONFIG | {"dac_config": dac_config}
    kind = PeAudioFrameLevelModel if layout == "frame_level" else PeAudioModel
    model = kind(PeAudioConfig(text_config=_TEXT_CONFIG, audio_config=audio_config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("alpha"):
                fan_in = parameter[0].numel()
                parameter.normal_(0, fan_in**-0.5)
        model.text_audio_logit_scale.fill_(0.7)
        model.text_audio_logit_bias.fill_(-0.4)
    return model


def make_checkpoint(directory: Path, layout: str = "pe_audio", seed: int = 0, dac_channels: int = 2) -> PeAudioModel:
    """Write a checkpoint of one of the `LAYOUTS` and return the upstream model that it holds."""
    import torch
    from safetensors.torch import save_file
    from transformers import PeAudioFeatureExtractor, PeAudioVideoConfig

    model = make_model(layout, seed, dac_channels)
    if layout == "pe_audio_video":
        # As facebook/pe-av-*: the text tower once at the top, the audio parts below audio_model, more beside.
        weights = {
            name if name.startswith("text_model.") else f"audio_model.{name}": tensor.contiguous()
            for name, tensor in model.state_dict().items()
        }
        weights["video_model.video_head.proj.weight"] = torch.zeros(2, 2)
        weights["audio_video_head.proj.weight"] = torch.zeros(2, 2)
        encoder = {
            "model_type": "pe_audio_video_encoder",
            "audio_config": model.config.audio_config.to_dict(),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "head_dim": 16,
        }
        directory.mkdir(parents=True, exist_ok=True)
        save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
        PeAudioVideoConfig(text_config=_TEXT_CONFIG, audio_video_config=encoder).save_pretrained(directory)
    else:
        model.save_pretrained(directory)
    make_tokenizer().save_pretrained(directory)
    PeAudioFeatureExtractor().save_pretrained(directory)
    return model


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that knows a few words."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: row for row, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def edit_config(directory: Path, **changes: object) -> None:
    """Change fields at the top of a checkpoint's config.json; None takes a field away."""
    path = directory / "config.json"
    config = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))


def noise(seconds: float, seed: int = 0, rate_hz: int = 48_000, channels: int = 1) -> NDArray[np.float32]:
    """Quiet white noise of shape (samples,) or (samples, channels)."""
    shape = (round(seconds * rate_hz), channels)
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)
    return samples[:, 0] if channels == 1 else samples


def tone(seconds: float, frequency_hz: float, rate_hz: int = 48_000) -> NDArray[np.float32]:
    """A steady sine of shape (samples,)."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def write_audio(path: Path, samples: NDArray[np.float32], rate_hz: int = 48_000, subtype: str | None = "FLOAT") -> Path:
    """Write samples, and return the path. The folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype=subtype)
    return path


def put_clips(
    place: Store | Catalog,
    clips: Iterable[tuple[Clip, Sequence[tuple[float, float]], NDArray[np.float32]]],
    removed: Iterable[Path] = (),
) -> None:
    """Put clips into a store, each with the times and embeddings of its windows; those that equal have one content.

    As a run does, it takes out afterwards what no clip has any more.
    """
    contents, pairs = [], []
    for clip, times, embeddings in clips:
        digest = hashlib.blake2b(repr((times, np.asarray(embeddings).tolist())).encode()).digest()
        contents.append(Content(digest, times, embeddings, is_whole=True))
        pairs.append((clip, digest))
    catalog = place.catalog if isinstance(place, Store) else place
    catalog.commit(contents=contents, clips=pairs, removed=removed)
    catalog.drop_unused_contents()


class FakeEmbedder:
    """An embedder whose exact vectors the tests know: a window's and a text's are both of their own making.

    A window becomes (mean, mean of squares, length in seconds); a text "x y z" becomes those three numbers. It counts
    what it was asked for.
    """

    dimension = 3
    batch_s = 20.0
    effort = EmbeddingEffort()

    def __init__(self) -> None:
        self.windows_embedded = 0
        self.calls = 0

    def embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        self.windows_embedded += len(windows)
        self.calls += 1
        return np.array([self.vector(window) for window in windows], np.float32).reshape(-1, 3)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[float(number) for number in text.split()] for text in texts], np.float32)

    @staticmethod
    def vector(window: NDArray[np.float32]) -> tuple[float, float, float]:
        return float(window.mean()), float((window**2).mean()), len(window) / 48_000
