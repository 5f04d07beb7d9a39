"""Only the sound and the words together tell which recording is meant."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

from evaluate_fusion import Recording
from evaluate_said import TOPICS, recalls, spoken_over, subtitles
from recipe.captions import CONCEPTS

from pe_search.known.sidecars import read_sidecar
from tests.made_up import noise, write_audio

KINDS = sorted(CONCEPTS)[:6]


def test_every_kind_and_topic_together_come_once():
    recordings = [Recording(Path(f"{kind}/{number}.ogg"), kind) for kind in KINDS for number in range(8)]
    spoken = spoken_over(recordings)
    assert set(Counter((one.recording.kind, one.topic) for one in spoken).values()) == {1}
    assert Counter(one.topic for one in spoken) == dict.fromkeys(TOPICS, 6)
    assert {one.recording.kind for one in spoken_over(recordings, 2)} == set(KINDS[:2])


def test_the_words_of_a_topic_are_in_its_sentence_alone():
    for topic, other in combinations(TOPICS, 2):
        assert all(word in TOPICS[topic].lower() for word in topic.split())
        assert not all(word in TOPICS[other].lower() for word in topic.split())


def test_each_way_is_scored(tmp_path):
    recordings = [Recording(tmp_path / kind / f"{number}.wav", kind) for kind in KINDS[:2] for number in range(2)]
    for seed, one in enumerate(recordings):
        write_audio(one.file, noise(1.5, seed))
    spoken = spoken_over(recordings)
    # The first topic of the second kind is the second one of the first, so one topic is there twice.
    assert Counter(Counter(one.topic for one in spoken).values()) == {1: 2, 2: 1}
    (tmp_path / "made").mkdir()
    figures = recalls(spoken, tmp_path / "made")
    assert figures["words"] == 0.75
    assert 0 <= figures["sound"] <= 0.5
    assert figures["both"] >= 0.5
    assert read_sidecar(subtitles("second goal").encode(), ".srt", 9.0).segments[0].text == TOPICS["second goal"]
