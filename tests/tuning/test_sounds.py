"""What is learned from and what is held out: by recordings, never by clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pe_search.errors import TuningError
from pe_search.known.annotations import CAPTIONS, LABELS, read_annotations
from pe_search.tuning.codec import CodecCache
from pe_search.tuning.sounds import Sound, Sounds, gather_sounds, hold_out


def cache_of(folder: Path, **windows: int) -> CodecCache:
    """Holds contents of so many windows of 2 s, by the letters of their digests."""
    cache = CodecCache(folder / "codec")
    for name, count in windows.items():
        cache.put(name.encode(), [(2.0 * row, 2.0 * row + 2) for row in range(count)], [np.zeros((3, 4))] * count)
    return cache


def table(folder: Path, text: str):
    (folder / "labels.csv").write_text(text)
    return read_annotations(folder / "labels.csv")


def sounds_of(*heard_and_recordings: tuple[set[int], int]) -> Sounds:
    found = [Sound((row,), frozenset(heard), frozenset(), one) for row, (heard, one) in enumerate(heard_and_recordings)]
    texts = 1 + max(text for heard, _ in heard_and_recordings for text in heard)
    return Sounds(tuple(map(str, range(texts))), tuple(found), ())


def test_rows_become_sounds_and_copies_are_one_sound_of_one_recording(tmp_path):
    annotations = table(
        tmp_path,
        "path,label,recording\na.wav,rain,one\nb.wav,sea,two\ncopy.wav,wind,three\nc.wav,rain,three\nd.wav,,four\ngone.wav,sea,five\n",
    )
    cache = cache_of(tmp_path, A=2, B=1, C=1, D=1)
    # copy.wav has the bytes of a.wav, and so recording three, with c.wav, is recording one.
    contents = {"a.wav": b"A", "b.wav": b"B", "copy.wav": b"A", "c.wav": b"C", "d.wav": b"D"}
    found = gather_sounds(annotations, {tmp_path / name: digest for name, digest in contents.items()}, cache)
    assert found.texts == ("rain", "sea", "wind")
    nothing: frozenset[int] = frozenset()
    assert found.all == (
        Sound((0, 1), frozenset({0, 2}), nothing, 0),
        Sound((2,), frozenset({1}), nothing, 1),
        Sound((3,), frozenset({0}), nothing, 0),
        Sound((4,), nothing, nothing, 2),
    )
    assert found.places == ((b"A", 0), (b"A", 1), (b"B", 0), (b"C", 0), (b"D", 0))


def test_with_times_each_window_is_a_sound_and_edges_are_not_known(tmp_path):
    # Windows are 0–2, 2–4 and 4–6: all of the first event is in the first; the second has half a second in the second
    # window, 2 s in the third; of the third event, half is in each of the first two.
    annotations = table(
        tmp_path, "path,start,end,label\na.wav,0.5,1,rain\na.wav,3.5,6,sea\na.wav,1.5,2.5,wind\na.wav,7,8,rain\n"
    )
    found = gather_sounds(annotations, {tmp_path / "a.wav": b"A"}, cache_of(tmp_path, A=3))
    assert [(sound.windows, sorted(sound.heard), sorted(sound.unknown)) for sound in found.all] == [
        ((0,), [0, 2], []),
        ((1,), [2], [1]),
        ((2,), [1], []),
    ]


def test_a_quarter_of_the_recordings_of_each_label_is_held_out_and_all_their_clips_with_them():
    # Label 0 has eight recordings of two clips, label 1 has two of one clip.
    sounds = sounds_of(*(({0}, row // 2) for row in range(16)), ({1}, 8), ({1}, 9))
    held = hold_out(sounds, LABELS, seed=3)
    assert len(held & set(range(8))) == 2
    assert len(held & {8, 9}) == 1
    assert hold_out(sounds, LABELS, seed=3) == held
    assert len({hold_out(sounds, LABELS, seed) for seed in range(10)}) > 1


@pytest.mark.parametrize("seed", range(20))
def test_each_label_keeps_a_recording_to_be_learned_from(seed):
    # Label 2 is only heard in recording 1, which label 0 has as well; labels 0 and 1 share all that they have.
    sounds = sounds_of(({0, 1}, 0), ({0, 1, 2}, 1), ({0, 1}, 2), ({0, 1}, 3), (set(), 4), (set(), 5))
    held = hold_out(sounds, LABELS, seed)
    assert 1 not in held
    assert held & {0, 2, 3}
    assert len(held & {4, 5}) == 1


def test_of_captions_a_quarter_is_held_out_in_all():
    sounds = sounds_of(*(({row}, row) for row in range(12)))
    assert len(hold_out(sounds, CAPTIONS, seed=0)) == 3


def test_a_label_of_one_recording_is_not_held_out():
    assert hold_out(sounds_of(({0}, 0), ({1}, 1)), LABELS, seed=0) == frozenset()


def test_the_cache_gives_back_what_was_put_there_and_holds_no_more_than_it_may(tmp_path):
    cache = CodecCache(tmp_path / "codec", most_bytes=10_000)
    features = [np.arange(12, dtype=np.float32).reshape(3, 4), np.ones((2, 4), np.float32)]
    assert cache.times(b"A") is None
    cache.put(b"A", [(0.0, 0.12), (0.12, 0.2)], features)
    assert CodecCache(tmp_path / "codec").times(b"A") == [(0.0, 0.12), (0.12, 0.2)]
    assert cache.features(b"A", 1).tolist() == [[1.0] * 4] * 2
    with pytest.raises(TuningError, match=r"take more than 1e-05 GB\. Give a table with fewer or shorter recordings\."):
        cache.put(b"B", [(0.0, 1.0)], [np.zeros((1000, 4), np.float32)])
    assert cache.times(b"B") is None
    (file,) = (tmp_path / "codec").glob("*.npz")
    file.write_bytes(file.read_bytes()[:50])
    assert cache.times(b"A") is None
