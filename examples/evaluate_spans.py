"""How well the built-in checkpoint, or another, says when a sound is heard; and what `locate` costs on a long file.

    python examples/evaluate_spans.py --data sounds
    python examples/evaluate_spans.py --data sounds --hours 3

The first places real clips at random times on pink noise, 6–15 dB above it, and asks for all ten sounds in each
recording. It prints the frame-level area under the ROC curve; then, once by the bare threshold and once by the defaults
of `pe-search locate`, the event F1 (a span is right if it begins and ends within 0.2 s of the event), the F1 of the
beginnings alone, and the spans that an event which was found falls into. The second also runs `pe-search locate` on a
recording of that length. Only clips of the fold that the checkpoint was not trained on are used.
"""

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from recipe import captions, held_out, scoring
from recipe.architecture import FRAME_SAMPLES, SAMPLE_RATE_HZ
from recipe.mixing import ACTIVE, Samples, coloured_noise, frame_activity, loudness
from recipe.recordings import find_recordings

from pe_search.cli.input.span_options import DEFAULT_RULES
from pe_search.pe_audio.checkpoint import find_checkpoint, frame_model_of
from pe_search.pe_audio.embedder import Embedder
from pe_search.queries import Span, SpanRules, Trace
from pe_search.spans.locating import Locator, Question
from pe_search.spans.rules import find_spans, smoothed

COLLAR_S = 0.2
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE_HZ
BARE_RULES = SpanRules(threshold=DEFAULT_RULES.threshold, smooth_s=0.0, min_length_s=0.0, join_s=0.0)
PROMPTS = held_out.PLAIN
_LONGEST_EVENT_S = 3.0
_PAUSE_S = (0.5, 4.0)
_MODEL_ALONE_S = 60


@dataclass(frozen=True)
class Event:
    """A clip's place in a recording."""

    concept: str
    start_s: float
    end_s: float


@dataclass
class Tally:
    """Spans and events of all recordings, and how they meet."""

    events: int = 0
    spans: int = 0
    right: int = 0
    begun: int = 0
    found: int = 0
    fragments: int = 0

    def add(self, events: Sequence[Event], spans: Sequence[Span]) -> None:
        """Count one concept of one recording."""
        self.events += len(events)
        self.spans += len(spans)
        self.right += _matches(events, spans, lambda event, span: _is_begun(event, span) and _is_ended(event, span))
        self.begun += _matches(events, spans, _is_begun)
        for event in events:
            pieces = sum(span.start_s < event.end_s and event.start_s < span.end_s for span in spans)
            self.found += pieces > 0
            self.fragments += pieces

    def row(self) -> list[str]:
        """F1 of both edges, F1 of beginnings, share of events found, fragments per event found, spans."""
        both = max(1, self.events + self.spans)
        figures = [2 * self.right / both, 2 * self.begun / both, self.found / max(1, self.events)]
        return [*(f"{figure:.3f}" for figure in figures), f"{self.fragments / max(1, self.found):.2f}", str(self.spans)]


def _is_begun(event: Event, span: Span) -> bool:
    return abs(event.start_s - span.start_s) <= COLLAR_S + 1e-6


def _is_ended(event: Event, span: Span) -> bool:
    return abs(event.end_s - span.end_s) <= COLLAR_S + 1e-6


def _matches(events: Sequence[Event], spans: Sequence[Span], fits: Callable[[Event, Span], bool]) -> int:
    """How many events get a span of their own; both are in order of time, so the first that fits is the best."""
    left = list(spans)
    count = 0
    for event in events:
        match = next((span for span in left if fits(event, span)), None)
        if match is not None:
            left.remove(match)
            count += 1
    return count


def heard_part(clip: Samples) -> Samples:
    """The loudest seconds of a clip, from the first frame in which it is active to the last."""
    stretch = scoring.loudest_stretch(clip, round(_LONGEST_EVENT_S * SAMPLE_RATE_HZ) // FRAME_SAMPLES)
    active = np.flatnonzero(frame_activity(stretch) == ACTIVE)
    return stretch[active[0] * FRAME_SAMPLES : (active[-1] + 1) * FRAME_SAMPLES]


def make_recording(
    clips: dict[str, list[Samples]], seconds: float, rng: np.random.Generator
) -> tuple[Samples, list[Event]]:
    """Pink noise with one clip after the other on it, with pauses of random length between."""
    samples = coloured_noise(1.0, seconds, rng)
    concepts = list(clips)
    events: list[Event] = []
    start = int(rng.uniform(*_PAUSE_S) * SAMPLE_RATE_HZ)
    while True:
        concept = concepts[rng.integers(len(concepts))]
        part = heard_part(clips[concept][rng.integers(len(clips[concept]))])
        end = start + len(part)
        if end > len(samples):
            break
        samples[start:end] += part * (10 ** (rng.uniform(6, 15) / 20) / (loudness(part) + 1e-6))
        events.append(Event(concept, start / SAMPLE_RATE_HZ, end / SAMPLE_RATE_HZ))
        start = end + int(rng.uniform(*_PAUSE_S) * SAMPLE_RATE_HZ)
    return samples * (0.5 / np.abs(samples).max()), events


def listen(
    embedder: Embedder, clips: dict[str, list[Samples]], count: int, seconds: float, seed: int
) -> list[tuple[list[Event], dict[str, Trace]]]:
    """The events of each recording, and for each concept its frames as they come out of the model."""
    locator = Locator(embedder, Question(list(PROMPTS.values()), BARE_RULES))
    rng = np.random.default_rng(seed)
    heard = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording.wav"
        for _ in range(count):
            samples, events = make_recording(clips, seconds, rng)
            soundfile.write(path, samples, SAMPLE_RATE_HZ)
            heard.append((events, dict(zip(PROMPTS, locator.in_clip(path), strict=True))))
    return heard


def frame_area(heard: Sequence[tuple[list[Event], dict[str, Trace]]]) -> float:
    """Mean over the concepts of the area under the ROC curve of all frames; a frame is where its middle is."""
    areas = []
    for concept in PROMPTS:
        truth = []
        for events, traces in heard:
            middle_s = (np.arange(len(traces[concept].probabilities)) + 0.5) * FRAME_SAMPLES / SAMPLE_RATE_HZ
            is_heard = np.zeros(len(middle_s), bool)
            for event in events:
                if event.concept == concept:
                    is_heard |= (event.start_s <= middle_s) & (middle_s < event.end_s)
            truth.append(is_heard)
        relevant = torch.from_numpy(np.concatenate(truth))
        if relevant.any():
            scores = torch.from_numpy(np.concatenate([traces[concept].probabilities for _, traces in heard]))
            areas.append(scoring.area_under_roc(scores, relevant))
    return float(np.mean(areas))


def tally(heard: Sequence[tuple[list[Event], dict[str, Trace]]], rules: SpanRules) -> Tally:
    """What the rules make of the frames."""
    result = Tally()
    for events, traces in heard:
        for concept, trace in traces.items():
            curve = smoothed(trace.probabilities, rules.smooth_s, FRAME_S)
            spans = find_spans(curve, rules, FRAME_S, trace.start_s, trace.end_s)
            result.add([event for event in events if event.concept == concept], spans)
    return result


def cost(model: str, embedder: Embedder, clips: dict[str, list[Samples]], hours: float, seed: int) -> list[list[str]]:
    """Time and memory of `pe-search locate` on a long recording, beside the model alone on the same audio.

    The model has it all in memory, in windows of 5 s that don't overlap, and takes as many at once as it likes.
    """
    samples, _ = make_recording(clips, _MODEL_ALONE_S, np.random.default_rng(seed))
    windows = list(samples.reshape(-1, 5 * SAMPLE_RATE_HZ))
    embedder.embed_frames(windows[:1])
    started_s = time.perf_counter()
    embedder.embed_frames(windows)
    alone_s = (time.perf_counter() - started_s) * hours * 3600 / _MODEL_ALONE_S
    rows = [[f"the model alone, {hours:g} h", f"{alone_s:,.0f} s", ""]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.wav"
        for part in (hours / 10, hours):
            with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
                for _ in range(max(1, round(part * 3600 / _MODEL_ALONE_S))):
                    file.write(samples)
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
                elapsed_s, peak_bytes = fresh.submit(run_locate, model, path).result()
            rows.append([f"`pe-search locate`, {part:g} h", f"{elapsed_s:,.0f} s", f"{peak_bytes / 1e6:,.0f} MB"])
    return rows


def run_locate(model: str, path: Path) -> tuple[float, int]:
    """Seconds and most bytes of memory of a run of the command, its start included.

    For a process that runs nothing else, because a system tells only the most memory of all children.
    """
    command = [sys.executable, "-m", "pe_search", "locate", PROMPTS["dog_bark"], path, "--model", model]
    started_s = time.perf_counter()
    done = subprocess.run([*command, "--device", "cpu"], stdout=subprocess.DEVNULL, check=False)
    if done.returncode == 2:
        sys.exit(2)
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - started_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown has it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: list[str] | None = None) -> None:
    """Print one table, and with --hours a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled clips, as ESC-10 has them")
    parser.add_argument("--model", default="builtin", help="checkpoint, as `pe-search locate --model` has it")
    parser.add_argument("--fold", type=int, default=4, help="fold of the clips, one that was held out in training")
    parser.add_argument("--recordings", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of each recording")
    parser.add_argument("--hours", type=float, help="length of a recording to measure time and memory on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    clips: dict[str, list[Samples]] = {}
    for recording in find_recordings(options.data, captions.CONCEPTS):
        if recording.concept in PROMPTS and recording.fold == options.fold:
            clips.setdefault(recording.concept, []).append(scoring.load_clip(recording))
    if not clips:
        parser.error(f"{options.data} holds no clips of fold {options.fold}")
    embedder = Embedder(find_checkpoint(frame_model_of(options.model)), device="cpu")
    heard = listen(embedder, clips, options.recordings, options.seconds, options.seed)
    print(f"{sum(len(events) for events, _ in heard)} events, frame AUROC {frame_area(heard):.3f}\n")
    header = ["spans by", "event F1", "F1 of beginnings", "events found", "spans per event found", "spans"]
    rows = [
        ["the bare threshold", *tally(heard, BARE_RULES).row()],
        ["the defaults", *tally(heard, DEFAULT_RULES).row()],
    ]
    print(table(header, rows))
    if options.hours:
        print(
            "\n" + table(["", "time", "most memory"], cost(options.model, embedder, clips, options.hours, options.seed))
        )


if __name__ == "__main__":
    main()
