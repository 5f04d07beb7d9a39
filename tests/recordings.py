"""Recordings for tests of counts: in which windows a dog and a cat are heard, and when they were recorded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pe_search.records import Clip, Content, Facts
from pe_search.store import Store
from tests.made_up import manifest

MANIFEST = manifest(model="/checkpoint", logit_scale=2.0, logit_bias=-1.0)
# A window's vector says how much of a dog and of a cat there is, and each text asks for one of them: from 0.5 on, its
# probability is a half or more.
DOG, CAT = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
HEARD, SILENT = 4.0, -4.0
NOTHING_SAID = Facts()


@dataclass
class Recording:
    """A clip that is put into a store.

    Attributes:
        dogs: Of each window, how much of a dog there is.
        cats: Likewise; none at all if it is empty.
        content: What makes its bytes what they are; by default its path.
    """

    path: str
    dogs: Sequence[float]
    cats: Sequence[float] = ()
    starts_s: Sequence[float] | None = None
    facts: Facts = NOTHING_SAID
    content: str | None = None


def put(store: Store, *recordings: Recording) -> None:
    contents = []
    for one in recordings:
        starts = one.starts_s or [10.0 * row for row in range(len(one.dogs))]
        cats = one.cats or [SILENT] * len(one.dogs)
        vectors = np.array([(dog, cat, 0) for dog, cat in zip(one.dogs, cats, strict=True)], np.float32)
        digest = os.fsencode(one.content or one.path)
        times = [(start_s, start_s + 10) for start_s in starts]
        contents.append((Content(digest, times, vectors, is_whole=True, facts=one.facts), Path(one.path)))
    store.catalog.commit(
        contents=[content for content, _ in contents],
        clips=[(Clip(path, 1, 1), content.digest) for content, path in contents],
    )
