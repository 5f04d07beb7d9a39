"""What a library does with a store in Milvus is what it does with one in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

import pe_search
from pe_search.queries import Filters
from tests.made_up import tone, write_audio

pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
EXAMPLES = Path(__file__).parents[3] / "examples" / "sounds"
Do = Callable[[pe_search.Library], object]


def counts(summary: pe_search.IndexSummary) -> dict[str, object]:
    """What a run did, but for how long it took."""
    return {
        name: value
        for name, value in dataclasses.asdict(summary).items()
        if not name.endswith("_s") and name != "relocated"
    }


@pytest.mark.slow
def test_all_that_a_library_does(tmp_path):
    sounds = tmp_path / "sounds"
    (sounds / "weather").mkdir(parents=True)
    for name in ("dog-barking.flac", "church-bell.flac", "weather/rain.flac"):
        (sounds / name).write_bytes((EXAMPLES / name).read_bytes())
    (sounds / "bad.wav").write_bytes(b"RIFF, and no more")
    dog, bell, rain = sounds / "dog-barking.flac", sounds / "church-bell.flac", sounds / "weather/rain.flac"
    address = f"milvus:{tmp_path}/birds.db"
    local = pe_search.create(tmp_path / "birds.store")
    with local, pe_search.create(address) as made:
        assert repr(made) == f"Library({address!r})"
    with local, pe_search.Library(address, loaded=local.model.loaded) as ours:

        def same(do: Do) -> object:
            found = do(ours)
            assert found == do(local)
            return found

        same(lambda library: counts(library.index(sounds)))
        same(lambda library: counts(library.index(sounds)))
        same(lambda library: [(one.clip.path, getattr(one, "reason", "")) for one in library.problems()])
        same(lambda library: library.query("dog barking"))
        same(lambda library: library.query("rain", minus="church bell", all_windows=True, k=None))
        same(lambda library: library.query("dog barking", like=dog, spans=True))
        same(lambda library: library.query(like=write_audio(tmp_path / "tone.wav", tone(3.0, 440)), exact=True))
        same(lambda library: library.query("rain", under=sounds / "weather"))
        same(lambda library: library.query("bell", filters=Filters(length_s=(1.0, None)), words="church"))
        same(lambda library: library.duplicates(0.1))
        same(lambda library: library.tag([rain], add="wet"))
        same(lambda library: library.query("rain", filters=Filters(tags=("wet",))))
        same(lambda library: library.learn("@bark", yes=[dog], no=[rain]))
        same(lambda library: library.query("@bark"))
        same(lambda library: library.count(["rain"], by="folder"))
        # Changed, moved and gone.
        write_audio(bell, tone(2.0, 300), subtype="PCM_16")
        rain.rename(sounds / "drizzle.flac")
        dog.unlink()
        same(lambda library: counts(library.index(prune=True)))
        same(lambda library: [clip.path for clip in library.clips()])
        same(lambda library: library.export(tmp_path / "all.npz"))
        same(lambda library: library.verify().smallest_cosine > 0.999)
        same(lambda library: library.remove([sounds / "drizzle.flac"]).clips)
        same(lambda library: library.rebuild().windows)
        known = [dataclasses.asdict(library.status()) for library in (ours, local)]
        for status in known:
            for name in ("store", "size_bytes", "written_at_s", "roots"):
                del status[name]
        assert known[0] == known[1]
