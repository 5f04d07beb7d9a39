"""How fast audio is embedded: pe-search's own indexing beside upstream's documented loop, on the same clips.

    python examples/benchmark_indexing.py
    python examples/benchmark_indexing.py --sizes builtin --data RECORDINGS
    python examples/benchmark_indexing.py --sizes builtin --hours 24
    python examples/benchmark_indexing.py --sizes builtin --formats
    python examples/benchmark_indexing.py --clips one-shots --against CHECKOUT

Upstream's loop reads a clip, runs `PeAudioFeatureExtractor` and `PeAudioModel.get_audio_embeds`, and goes on to the
next. pe-search's is what `pe-search index` does, from the folder to a new store. Each way has a process of its own,
which loads its model and then works whenever it is its turn: the ways take turns, so that what else the machine does
falls on all alike. Checkpoints of PE-AV's sizes are made on the spot with random weights, in `--work`; the sizes are
those that give the published numbers of parameters.

With `--formats` the same clips are indexed in each of several formats instead, and the rows show what share of the time
the model is busy while they are decoded beside it.

With `--data` the clips are those of a folder (of ESC-10, say); without, noise of 10 s as FLAC, or with
`--clips one-shots` noise of 0.2 to 0.8 s as WAV, each clip of its own length.

With `--against` the pe-search of another checkout takes its turns as well.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

SIZES = {
    "small": {"hidden_size": 768, "intermediate_size": 2_048, "num_hidden_layers": 12, "num_attention_heads": 6},
    "base": {"hidden_size": 1_024, "intermediate_size": 2_752, "num_hidden_layers": 16, "num_attention_heads": 8},
    "large": {"hidden_size": 1_792, "intermediate_size": 4_800, "num_hidden_layers": 28, "num_attention_heads": 14},
}
PROMPTS = (
    *("a dog barking", "rain falling", "sea waves", "a baby crying", "a clock ticking"),
    *("a person sneezing", "a helicopter", "a chainsaw", "a rooster crowing", "a crackling fire"),
)
WINDOW_S = 10.0
RATE_HZ = 48_000
ONE_SHOTS = 96
Embeddings = NDArray[np.float32]
# Extension, container and codec, in FFmpeg's words.
FORMATS = {
    "FLAC": (".flac", "flac", "flac"),
    "WAV": (".wav", "wav", "pcm_s16le"),
    "MP3": (".mp3", "mp3", "libmp3lame"),
    "M4A": (".m4a", "ipod", "aac"),
    "Opus": (".opus", "opus", "libopus"),
    "Matroska, FLAC": (".mka", "matroska", "flac"),
}


# ---- what is measured


def make_checkpoint(directory: Path, size: str) -> None:
    """A checkpoint of one of PE-AV's sizes: random weights that keep the signal's size, and a small text tower."""
    import torch
    from transformers import PeAudioConfig, PeAudioModel

    torch.manual_seed(0)
    text = {"model_type": "modernbert", "hidden_size": 1_024, "intermediate_size": 16, "num_hidden_layers": 1}
    text |= {"vocab_size": 64, "num_attention_heads": 8}
    text |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    audio = SIZES[size] | {"num_key_value_heads": SIZES[size]["num_attention_heads"], "head_dim": 128}
    config = PeAudioConfig(text_config=text, audio_config=audio)
    model = PeAudioModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.uniform_(0.2, 3)
            elif parameter.ndim > 1:
                parameter.normal_(0, 0.7 * parameter[0].numel() ** -0.5)
    model.save_pretrained(directory)


def make_clips(folder: Path, count: int) -> None:
    """Noise that swells and fades, 10 s each, as FLAC."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        swell = 0.1 + 0.1 * np.sin(np.arange(int(WINDOW_S * RATE_HZ)) / RATE_HZ * rng.uniform(1, 20))
        soundfile.write(folder / f"{number:04}.flac", rng.standard_normal(len(swell)) * swell, RATE_HZ)


def make_one_shots(folder: Path) -> None:
    """Noise that dies away, from 0.2 to 0.8 s, each clip of its own length, as WAV."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number, duration_s in enumerate(rng.permutation(np.linspace(0.2, 0.8, ONE_SHOTS))):
        samples = rng.standard_normal(int(duration_s * RATE_HZ))
        soundfile.write(folder / f"{number:04}.wav", samples * np.geomspace(0.3, 0.003, len(samples)), RATE_HZ)


def encode_clips(clips: Path, folder: Path, name: str) -> None:
    """The clips of a folder in one of the formats."""
    import av

    extension, container_name, codec = FORMATS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(clips.iterdir()):
        target_path = folder / (path.stem + extension)
        with av.open(str(path)) as source, av.open(str(target_path), "w", format=container_name) as target:
            stream = target.add_stream(codec, rate=RATE_HZ, layout="mono")
            stream.codec_context.open()
            resampler = av.AudioResampler(
                stream.codec_context.format.name, "mono", RATE_HZ, frame_size=stream.codec_context.frame_size or 1_024
            )
            for frame in [*source.decode(audio=0), None]:
                for part in resampler.resample(frame):
                    target.mux(stream.encode(part))
            target.mux(stream.encode(None))


def make_long(path: Path, hours: float) -> None:
    """A recording of so many hours, of a minute of noise over and over, at 8 kHz."""
    minute = np.random.default_rng(0).standard_normal(60 * 8_000) * 0.1
    with soundfile.SoundFile(path, "w", 8_000, 1, format="RF64", subtype="PCM_16") as file:
        for _ in range(round(hours * 60)):
            file.write(minute)


@dataclass
class Turn:
    """What one turn gave; `busy_s` is the time inside the model, `peak_mb` the memory over the loaded model's."""

    elapsed_s: float
    audio_s: float
    busy_s: float
    peak_mb: float
    embeddings: dict[str, Embeddings]


class Upstream:
    """The loop of transformers' documentation."""

    def __init__(self, checkpoint: str, device: str, _dtype: str) -> None:
        from transformers import PeAudioFeatureExtractor, PeAudioModel
        from transformers.utils import logging

        from pe_search.pe_audio.checkpoint import find_checkpoint

        self.device = device
        self.extractor = PeAudioFeatureExtractor()
        logging.disable_progress_bar()
        self.model = PeAudioModel.from_pretrained(find_checkpoint(checkpoint).directory).eval().to(device)

    def embed(self, folder: Path) -> tuple[float, float, dict[str, Embeddings]]:
        """Seconds of audio, seconds inside the model, embeddings by path."""
        import soxr
        import torch

        audio_s = busy_s = 0.0
        embeddings = {}
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg")):
            samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
            mono = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
            started_s = time.perf_counter()
            inputs = self.extractor(mono, sampling_rate=RATE_HZ, return_tensors="pt").to(self.device)
            with torch.inference_mode():
                embedding = self.model.get_audio_embeds(input_values=inputs["input_values"]).cpu().numpy()
            busy_s += time.perf_counter() - started_s
            audio_s += len(mono) / RATE_HZ
            embeddings[str(path)] = embedding
        return audio_s, busy_s, embeddings


class Ours:
    """`pe-search index` into a new store."""

    def __init__(self, checkpoint: str, device: str, dtype: str) -> None:
        from pe_search.pe_audio.checkpoint import find_checkpoint
        from pe_search.pe_audio.embedder import Embedder

        self.embedder = Embedder(find_checkpoint(checkpoint), device, dtype)
        self.embedder.embed_windows([np.zeros(1_920, np.float32)])

    def embed(self, folder: Path) -> tuple[float, float, dict[str, Embeddings]]:
        """Seconds of audio, seconds inside the model, embeddings by path."""
        from pe_search.store import Manifest, Store
        from pe_search.tasks.indexing import run_index
        from pe_search.tasks.planning import plan_index

        embedder = self.embedder
        busy_s = 0.0
        rows: list[Embeddings] = []
        embed_windows = type(embedder).embed_windows

        def timed(windows: Sequence[NDArray[np.float32]]) -> Embeddings:
            nonlocal busy_s
            started_s = time.perf_counter()
            result = embed_windows(embedder, windows)
            busy_s += time.perf_counter() - started_s
            rows.extend(result)
            return result

        embedder.embed_windows = timed  # type: ignore[method-assign]
        checkpoint = embedder.checkpoint
        manifest = Manifest(
            model=checkpoint.name,
            revision=checkpoint.revision,
            dimension=embedder.dimension,
            window_s=WINDOW_S,
            hop_s=WINDOW_S,
            sample_rate_hz=RATE_HZ,
            logit_scale=embedder.logit_scale,
            logit_bias=embedder.logit_bias,
        )
        with tempfile.TemporaryDirectory() as directory, Store.create(Path(directory) / "store", manifest) as store:
            plan = plan_index([folder], {})
            summary = run_index(plan, store, lambda: embedder)
            if summary.problems:
                raise SystemExit(f"{summary.problems[0].path}: {summary.problems[0].reason}")
            contents = [(str(clip.path), store.catalog.content(clip.path)) for clip in plan.to_read]
        # In the order of the plan, and not rounded to 16 bits as the store has them; clips of the same bytes once.
        by_digest: dict[bytes, Embeddings] = {}
        embeddings = {}
        for path, content in contents:
            if content.digest not in by_digest:
                by_digest[content.digest] = np.stack(rows[: len(content.times)])
                del rows[: len(content.times)]
            embeddings[path] = by_digest[content.digest]
        return summary.audio_s, busy_s, embeddings


def matrix_rate(device: str, dtype: str) -> float:
    """Multiplications and additions a second in products of square matrices: the best of several."""
    import torch

    size = 8_192 if device == "cuda" else 2_048
    a, b = (torch.randn(size, size, device=device, dtype=getattr(torch, dtype)) for _ in range(2))
    return 2 * size**3 / min(_seconds(lambda: a @ b, device) for _ in range(8))


def encoder_rate(embedder: Any, device: str) -> float:
    """Multiplications and additions a second in the DAC encoder, over 10 s of audio: the best of several."""
    import torch
    from transformers.models.pe_audio.modeling_pe_audio import PeAudioDacEncoder

    encoder = embedder._load_audio_tower().audio_encoder.embedder.dac_encoder
    config = embedder._audio_tower.config.audio_config.dac_config
    operations = 0

    def count(convolution: Any, _inputs: Any, output: Any) -> None:
        nonlocal operations
        operations += 2 * output.numel() * convolution.weight[0].numel()

    with torch.device("meta"):
        twin = PeAudioDacEncoder(config)
        for module in twin.modules():
            if isinstance(module, torch.nn.Conv1d):
                module.register_forward_hook(count)
        twin(torch.empty(1, 1, int(WINDOW_S * RATE_HZ)))
    waveform = torch.randn(1, 1, int(WINDOW_S * RATE_HZ), device=device, dtype=getattr(torch, embedder.dtype)) * 0.1
    with torch.inference_mode():
        return operations / min(_seconds(lambda: encoder(waveform), device) for _ in range(5))


def _seconds(work: Callable[[], Any], device: str) -> float:
    import torch

    started_s = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started_s


# ---- taking turns


def peak_mb(device: str) -> float:
    """The most memory that this process has had so far, on the GPU if it works there."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def serve(pipe: Connection, kind: str, checkpoint: str, device: str, dtype: str, threads: int) -> None:
    """A way's own process: load the model, then work on each folder that comes through the pipe.

    `kind` is `upstream`, `pe-search` or the directory of a checkout of pe-search.
    """
    import torch

    if kind not in ("upstream", "pe-search"):
        sys.path.insert(0, kind)

    torch.set_num_threads(threads)
    way = (Upstream if kind == "upstream" else Ours)(checkpoint, device, dtype)
    pipe.send(None)
    while (asked := pipe.recv()) is not None:
        if asked == "rates":
            pipe.send((matrix_rate(device, dtype), encoder_rate(way.embedder, device)))
        elif asked == "prompts":
            pipe.send(way.embedder.embed_texts(PROMPTS))
        else:
            loaded_mb = peak_mb(device)
            started_s = time.perf_counter()
            audio_s, busy_s, embeddings = way.embed(asked)
            elapsed_s = time.perf_counter() - started_s
            pipe.send(Turn(elapsed_s, audio_s, busy_s, peak_mb(device) - loaded_mb, embeddings))


@dataclass
class Way:
    """One of the ways, and what its turns gave."""

    name: str
    process: Any
    pipe: Connection
    turns: list[Turn] = field(default_factory=list)

    def ask(self, what: object) -> Any:
        """Have the process do something, and wait."""
        self.pipe.send(what)
        return self.pipe.recv()

    @property
    def speed(self) -> float:
        """Median of the seconds of audio a second."""
        return statistics.median(turn.audio_s / turn.elapsed_s for turn in self.turns)


def start(kind: str, checkpoint: str, device: str, dtype: str, threads: int) -> Way:
    """Start a way's process and wait until its model is loaded."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, kind, checkpoint, device, dtype, threads), daemon=True)
    process.start()
    there.close()  # so that the death of the process ends the wait for it
    here.recv()
    return Way(f"{kind}, {dtype}", process, here)


def agreement(ours: dict[str, Embeddings], theirs: dict[str, Embeddings]) -> tuple[float, float]:
    """Largest error relative to the norm, and the 1st percentile of the cosines, of clips of one window."""
    pairs = [(ours[path][0], theirs[path][0]) for path in theirs if len(ours[path]) == len(theirs[path]) == 1]
    errors = [float(np.abs(a - b).max() / np.linalg.norm(b)) for a, b in pairs]
    cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in pairs]
    return max(errors), float(np.percentile(cosines, 1))


def same_top_ten(ours: dict[str, Embeddings], theirs: dict[str, Embeddings], prompts: Embeddings) -> float:
    """Share of the prompts for which the ten best clips are the same ten."""
    paths = sorted(theirs)
    same = 0
    for prompt in prompts:
        best = [
            set(sorted(paths, key=lambda path: -float((side[path] @ prompt).max()))[:10]) for side in (ours, theirs)
        ]
        same += best[0] == best[1]
    return same / len(prompts)


def compare(size: str, options: argparse.Namespace, folder: Path) -> None:
    """Measure all ways with one checkpoint, and print their rows."""
    checkpoint = "builtin"
    if size != "builtin":
        directory = options.work / size
        if not (directory / "config.json").exists():
            make_checkpoint(directory, size)
        checkpoint = str(directory)
    kinds = [("upstream", "float32"), ("pe-search", "float32")]
    if size != "builtin" and not options.no_bfloat16:  # the built-in is calculated in float32 only
        kinds.append(("pe-search", "bfloat16"))
    if options.against is not None:
        kinds += [(str(options.against.resolve()), dtype) for kind, dtype in kinds if kind == "pe-search"]
    ways = [start(kind, checkpoint, options.device, dtype, options.threads) for kind, dtype in kinds]
    for _ in range(options.repeats):
        for way in ways:
            way.turns.append(way.ask(folder))
    upstream = ways[0]
    for way in ways:
        last = way.turns[-1]
        row = f"| {size} | {way.name} | {way.speed:.2f} | {way.speed / upstream.speed:.2f} | "
        row += f"{statistics.median(turn.busy_s / turn.elapsed_s for turn in way.turns):.0%} | "
        row += f"{max(turn.peak_mb for turn in way.turns):,.0f} | "
        if way is not upstream:
            error, cosine = agreement(last.embeddings, upstream.turns[-1].embeddings)
            matrix, encoder = way.ask("rates")
            row += f"{matrix / 1e9:,.0f} | {encoder / matrix:.0%} | {error:.1e} | {cosine:.6f} | "
            if size == "builtin":
                row += f"{same_top_ten(last.embeddings, upstream.turns[-1].embeddings, way.ask('prompts')):.0%}"
            row += " |"
        else:
            row += "| | | | |"
        print(row, flush=True)
    for way in ways:
        way.pipe.send(None)
        way.process.join()


def compare_formats(size: str, options: argparse.Namespace, clips: Path) -> None:
    """Index the same clips in each format by turns, and print what share of the time the model is busy."""
    checkpoint = "builtin"
    if size != "builtin":
        directory = options.work / size
        if not (directory / "config.json").exists():
            make_checkpoint(directory, size)
        checkpoint = str(directory)
    folders = {name: options.work / "formats" / name for name in FORMATS}
    for name, folder in folders.items():
        encode_clips(clips, folder, name)
    way = start("pe-search", checkpoint, options.device, "float32", options.threads)
    way.ask(folders["FLAC"])  # the first turn compiles and warms up
    turns: dict[str, list[Turn]] = {name: [] for name in folders}
    for _ in range(options.repeats):
        for name, folder in folders.items():
            turns[name].append(way.ask(folder))
    busy = {name: statistics.median(turn.busy_s / turn.elapsed_s for turn in those) for name, those in turns.items()}
    for name, those in turns.items():
        speed = statistics.median(turn.audio_s / turn.elapsed_s for turn in those)
        print(f"| {size} | {name} | {speed:.2f} | {busy[name]:.1%} | {busy[name] / busy['FLAC']:.1%} |", flush=True)
    way.pipe.send(None)
    way.process.join()


def measure_long(options: argparse.Namespace) -> None:
    """Index one long recording with each size, and print the memory that it took over the model's."""
    path = options.work / f"{options.hours:g}-hours" / "long.rf64"
    path.parent.mkdir(parents=True, exist_ok=True)
    make_long(path, options.hours)
    for size in options.sizes:
        model = "builtin" if size == "builtin" else str(options.work / size)
        if size != "builtin" and not (options.work / size / "config.json").exists():
            make_checkpoint(options.work / size, size)
        where = ["--model", model, "--device", options.device]
        with tempfile.TemporaryDirectory() as directory:
            started_s = time.perf_counter()
            whole_mb = _peak_mb_of(["-m", "pe_search", "index", str(path.parent), "--store", directory + "/s", *where])
            elapsed_s = time.perf_counter() - started_s
        load = "import sys; from pe_search.pe_audio.embedder import Embedder; "
        load += "from pe_search.pe_audio.checkpoint import find_checkpoint; "
        load += "Embedder(find_checkpoint(sys.argv[1]), device=sys.argv[2]).batch_s"
        model_mb = _peak_mb_of(["-c", load, model, options.device])
        print(
            f"{size}: {options.hours:g} h in {elapsed_s:,.0f} s, {whole_mb:,.0f} MB at most, "
            f"{whole_mb - model_mb:,.0f} MB over the loaded model"
        )
    path.unlink()


def _peak_mb_of(arguments: Sequence[str]) -> float:
    """The most memory that a Python process of its own has at any time."""
    process = subprocess.Popen([sys.executable, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(arguments)}: ended with status {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["builtin", *SIZES], choices=["builtin", *SIZES])
    parser.add_argument("--repeats", type=int, default=5, help="turns of each way (default 5)")
    parser.add_argument("--clips", default="6", help="how many clips to make (default 6), or one-shots")
    parser.add_argument("--data", type=Path, help="folder of clips of at most 10 s, instead of made ones")
    parser.add_argument("--against", type=Path, help="another checkout of pe-search, which takes its turns as well")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--no-bfloat16", action="store_true", help="leave bfloat16 out, which old processors emulate")
    parser.add_argument("--formats", action="store_true", help="index the same clips in several formats instead")
    parser.add_argument("--hours", type=float, help="index one recording of so many hours instead, and show its memory")
    parser.add_argument("--work", type=Path, default=Path("benchmark-work"), help="scratch folder (6 GB for large)")
    options = parser.parse_args()
    if options.clips != "one-shots" and not options.clips.isdecimal():
        parser.error("--clips takes a number or one-shots")
    options.work.mkdir(parents=True, exist_ok=True)
    if options.hours:
        measure_long(options)
        return
    folder = options.data
    if folder is None:
        folder = options.work / f"{options.clips}-clips"
        if options.clips == "one-shots":
            make_one_shots(folder)
        else:
            make_clips(folder, int(options.clips))
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, {options.device}")
    if options.formats:
        print(f"Medians of {options.repeats} turns. Speed: seconds of audio a second.")
        print("| size | format | speed | model busy | of FLAC's |")
        print("|---" * 5 + "|")
        for size in options.sizes:
            compare_formats(size, options, folder.resolve())
        return
    print(f"Medians of {options.repeats} turns. Speed: seconds of audio a second. Memory: MB over the loaded model.")
    print("| size | way | speed | × upstream | model busy | memory | matrix GFLOP/s | encoder's share of it ", end="")
    print("| largest error | 1st-percentile cosine | same top 10 |")
    print("|---" * 11 + "|")
    for size in options.sizes:
        compare(size, options, folder.resolve())


if __name__ == "__main__":
    main()
