"""llama.cpp's own server, with a tiny model of random weights that hears."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pe_search.descriptions import Turn
from pe_search.errors import LanguageModelError, UnansweredError
from pe_search.language import server
from pe_search.language.conversations import SAMPLE_RATE_HZ, Conversation
from pe_search.language.server import ServerModel
from tests.language.gguf_model import write_gguf
from tests.language.tiny import make_language_model
from tests.made_up import noise

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (find_spec("xllamacpp") and find_spec("gguf")),
        reason="needs llama.cpp's server: pip install --no-deps xllamacpp gguf",
    ),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """What starts a server, and gives its URL."""
    import xllamacpp

    folder = tmp_path_factory.mktemp("llama")
    text, sound = write_gguf(*make_language_model(folder / "model"), folder)
    running: list[Any] = []

    def started(*, mmproj: Path | None = sound, keys: tuple[str, ...] = ()) -> str:
        settings = xllamacpp.CommonParams()
        settings.model.path = str(text)
        settings.port, settings.n_ctx, settings.n_gpu_layers = 0, 4_096, 0
        settings.warmup, settings.verbosity, settings.mmproj_use_gpu = False, -1, False
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
        settings.api_keys = list(keys)
        if mmproj is not None:
            settings.mmproj.path = str(mmproj)
        running.append(xllamacpp.Server(settings))
        return f"{running[-1].listening_address}/v1"

    yield started
    running.clear()


@pytest.fixture(scope="module")
def hearing(start) -> ServerModel:
    return ServerModel(start())


def asked(question: str = "What is this?", length_s: float = 1.0, *turns: Turn) -> Conversation:
    return Conversation(noise(length_s, 0, SAMPLE_RATE_HZ), question, turns)


@pytest.mark.parametrize(("length_s", "chunks"), [(0.1, 1), (29.0, 1), (30.0, 2)])
def test_it_hears(hearing, length_s, chunks):
    one = asked(length_s=length_s)
    with_sound, without = (
        server._prompt_tokens(hearing._ask(server._messages(one, with_sound=given), 1)) for given in (True, False)
    )
    # Between a mark where the sound begins and one where it ends.
    assert with_sound - without == 2 + chunks * 750


def test_the_shortest_and_the_longest_and_several_at_once_are_answered(hearing):
    conversations = [asked(length_s=length_s) for length_s in (0.1, 1.0, 2.5, 10.0, 30.0, 1.0)]
    answers = list(hearing.answer(conversations))
    assert len(answers) == len(conversations)
    assert all(answers)


def test_a_follow_up_is_answered_and_another_answer_than_the_first(hearing):
    (first,) = hearing.answer([asked()])
    (again,) = hearing.answer([asked("Is it large?", 1.0, Turn("What is this?", first))])
    assert again != first


def test_a_question_that_is_too_long_for_it_is_one_line_and_spoils_no_other(hearing):
    why, answer = hearing.answer([asked("x" * 9_000), asked()])
    assert isinstance(why, UnansweredError)
    assert re.search(r"status 400: request .* exceeds the available context size", str(why))
    assert "\n" not in str(why)
    assert isinstance(answer, str)


def test_without_its_file_for_sound_it_says_what_to_give(start):
    with pytest.raises(LanguageModelError, match=r"hears no sound: audio input is not supported .*mmproj") as raised:
        list(ServerModel(start(mmproj=None)).answer([asked()]))
    assert not isinstance(raised.value, UnansweredError)


def test_it_wants_its_key(start):
    url = start(keys=("secret",))
    for name, key in ((url, None), (f"{url}#any", None), (url, "wrong")):
        with pytest.raises(LanguageModelError, match="refuses with status 401: Invalid API Key"):
            list(ServerModel(name, key).answer([asked()]))
    assert list(ServerModel(url, "secret").answer([asked()]))
