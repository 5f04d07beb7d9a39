"""How long a training is, and how hard it learns at every point of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recipe import captions
from recipe.held_out import PLAIN
from recipe.mixing import MixingPlan
from recipe.neighbours import NEIGHBOURS
from recipe.scoring import DRUM_KIT

COOLING = 0.35
"""The last share of the schedule, in which the learning rate falls."""
_RATE_AFTER_START = 0.7
"""Share of the learning rate for a checkpoint that was trained already."""


@dataclass
class Schedule:
    """How long and how hard. Exactly one of `minutes` and `steps` is given.

    `start` is a checkpoint of this recipe to begin with: its text tower is warmed up once more, for what is new in the
    vocabulary, and there are mixtures from the first step.
    """

    minutes: float | None = None
    steps: int | None = None
    start: Path | None = None
    text_steps: int = 2_000
    tokenizer_captions: int = 60_000
    seconds_per_step: float = 192.0
    most_windows: int = 96
    lengths_s: Sequence[float] = (0.25, 0.6, 1.2, 1.6, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 5.0, 10.0)
    learning_rate: float = 1.4e-3
    warm_up_steps: int = 60
    weight_decay: float = 0.1
    ema_decay: float = 0.997
    frame_weight: float = 1.5
    gradient_clip: float = 2.0
    vocabulary_size: int = 5_000
    merge_dropout: float = 0.1
    plan: MixingPlan = field(
        # Those of a kit are named twice, and come twice as often.
        default_factory=lambda: MixingPlan(
            favoured=tuple(PLAIN), drums=(*DRUM_KIT, *captions.DRUMS), neighbours=NEIGHBOURS
        )
    )
    augmentation: dict[str, float] = field(
        default_factory=lambda: {
            "equaliser_db": 4.5,
            "band_mask": 5,
            "band_limit": 0.2,
            "frame_mask": 0.25,
            "dropout": 0.1,
            "layer_drop": 0.05,
        }
    )

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the training that is done, 0–1."""
        if self.steps is not None:
            done = step / self.steps if self.steps else 1.0
        else:
            assert self.minutes is not None
            done = elapsed_s / (60 * self.minutes)
        return done

    def rate(self, progress: float) -> float:
        """Share of the learning rate at a share of the training."""
        height = _RATE_AFTER_START if self.start else 1.0
        return height * max(0.02, min(1.0, (1 - progress) / COOLING))


WITH_LESSONS: dict[str, Any] = {
    "seconds_per_step": 128.0,
    "learning_rate": 7e-4,
    "ema_decay": 0.99,
    "augmentation": {
        "equaliser_db": 2.5,
        "band_mask": 3,
        "band_limit": 0.1,
        "frame_mask": 0.15,
        "dropout": 0.05,
        "layer_drop": 0.02,
    },
}
"""What differs in a training on lessons: smaller steps, and milder changes, as the teacher heard it unchanged."""
