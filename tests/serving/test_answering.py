"""Answers from a store that stays open, and from whatever takes its place."""

from __future__ import annotations

import dataclasses
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pe_search.errors import QueryError, StoreError
from pe_search.library import Library
from pe_search.queries import Query, Reference
from pe_search.serving import answering as answering_module
from pe_search.serving.answering import MOST_REQUESTS, Answering, BusyError
from pe_search.store import Store
from pe_search.store.finder import INDEX_FILE
from tests.made_up import put_clips
from tests.serving.conftest import DEADLINE_S, MANIFEST, clip, hits_of, make_store, request_for

REQUESTS = [
    request_for("1 0 0"),
    request_for("1 2 3", "-1 0 2", "0 0 0"),
    request_for("1 0 0", k=1),
    request_for("1 1 1", all_windows=True),
    request_for("1 1 1", all_windows=True, min_probability=0.5),
    request_for("0 1 0", exact=True),
    request_for("1 0 0", "0 1 0", words="bark -line", k=2),
    dataclasses.replace(request_for(words="wav"), queries=(Query(),)),
    request_for("1 0 0", words="wav", is_part=True),
]


def ask(answering, request):
    """All hits of a request, and all problems."""
    answers = []
    answering.submit(request, answers.append).result(DEADLINE_S)
    return [list(answer.hits) for answer in answers], [problem for answer in answers for problem in answer.problems]


@pytest.fixture
def opened(monkeypatch) -> list[Store]:
    """The stores that are opened, as they are."""
    stores = []
    open_store = Store.open

    def recording(*args, **kwargs):
        stores.append(open_store(*args, **kwargs))
        return stores[-1]

    monkeypatch.setattr(Store, "open", recording)
    return stores


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_answers_as_a_store_that_is_opened_for_it(answering, store, request_):
    for _ in range(2):
        assert ask(answering, request_) == (hits_of(store, request_), [])


def test_a_store_and_its_text_tower_are_opened_once(answering, opened, loaded):
    answering.warm_up().result(DEADLINE_S)
    for number in range(5):
        ask(answering, request_for(f"{number} 0 0"))
    assert len(opened) == 1
    assert loaded == [("builtin", "c0ffee")]


def test_a_commit_is_seen_by_the_next_request(answering, store):
    before, _ = ask(answering, request_for("1 1 1"))
    with Store.open(store, read_only=False) as writer:
        put_clips(writer, [clip("/new.wav", (100, 100, 100))])
    after, _ = ask(answering, request_for("1 1 1"))
    assert [hit.path.name for hit in after[0]] == ["new.wav", *(hit.path.name for hit in before[0])]
    assert after == hits_of(store, request_for("1 1 1"))


def test_a_word_that_is_taught_meanwhile_is_answered_as_the_library_does(answering, store):
    request = request_for("@it", "1 0 0")
    with pytest.raises(QueryError, match=r"^@it was not taught to the store at "):
        ask(answering, request)
    with Library(store) as library:
        library.learn("@it", text="1 0 0")
    (as_text, plain), _ = ask(answering, request)
    assert [dataclasses.replace(hit, query="1 0 0") for hit in as_text] == plain
    with Library(store) as library:
        library.learn("@it", yes=Reference(Path("/s/rain.wav"), (10, 20)), no="/s/bark.wav")
    judged = ask(answering, request)
    assert judged == (hits_of(store, request), [])
    assert judged[0][0] != as_text
    with Library(store) as library:
        library.judge("@it", ("/t/new\nline.wav", 0, 10), "yes")
    again = ask(answering, request)
    assert again == (hits_of(store, request), [])
    assert again[0][0] != judged[0][0]
    with Library(store) as library:
        library.forget("@it")
    with pytest.raises(QueryError, match=r"^@it was not taught .* The store knows none yet\."):
        ask(answering, request)


def test_a_commit_between_two_queries_is_seen_too(answering, store):
    answers = []

    def commit_once(answer):
        if not answers:
            with Store.open(store, read_only=False) as writer:
                put_clips(writer, [clip("/new.wav", (100, 100, 100))])
        answers.append(answer)

    answering.submit(request_for("1 1 1", "1 1 1"), commit_once).result(DEADLINE_S)
    assert [answer.hits[0].path.name == "new.wav" for answer in answers] == [False, True]


def test_a_store_that_takes_the_place_of_another_is_seen(answering, store, loaded):
    ask(answering, request_for("1 0 0"))
    shutil.rmtree(store)
    other = dataclasses.replace(MANIFEST, revision="2", logit_bias=1.0)
    with Store.create(store, other) as new:
        put_clips(new, [clip("/other.wav", (1, 2, 3))])
    hits, _ = ask(answering, request_for("1 0 0"))
    assert hits == hits_of(store, request_for("1 0 0"))
    assert [hit.path.name for hit in hits[0]] == ["other.wav"]
    assert loaded == [("builtin", "c0ffee"), ("builtin", "2")]


def test_so_is_one_that_was_renamed_there(answering, store, tmp_path):
    ask(answering, request_for("1 0 0"))
    other = make_store(tmp_path / "other")
    with Store.open(other, read_only=False) as new:
        put_clips(new, [clip("/other.wav", (100, 0, 0))])
    store.rename(tmp_path / "before")
    other.rename(store)
    assert ask(answering, request_for("1 0 0"))[0][0][0].path.name == "other.wav"


def test_a_store_that_was_deleted_is_missed_until_there_is_another(answering, store):
    expected = ask(answering, request_for("1 0 0"))
    shutil.rmtree(store)
    with pytest.raises(StoreError, match=r"^There is no store at "):
        ask(answering, request_for("1 0 0"))
    make_store(store)
    assert ask(answering, request_for("1 0 0")) == expected


def test_what_is_amiss_with_the_store_is_told_once(answering, store):
    with Store.open(store, read_only=False) as writer:
        writer.finder.rebuild()
    expected = ask(answering, request_for("1 0 0"))
    (store / INDEX_FILE).write_bytes(b"nonsense")
    hits, problems = ask(answering, request_for("1 0 0"))
    assert (hits, [problem.path for problem in problems]) == (expected[0], [store / INDEX_FILE])
    assert ask(answering, request_for("1 0 0")) == expected


def test_after_a_request_that_fails_the_next_is_answered(answering, store):
    with pytest.raises(ValueError, match="could not convert"):
        ask(answering, request_for("no number"))
    assert ask(answering, request_for("1 0 0"))[0] == hits_of(store, request_for("1 0 0"))


def test_a_deliverer_that_fails_ends_its_request_alone(answering, store):
    def fail(_answer):
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        answering.submit(request_for("1 0 0", "0 1 0"), fail).result(DEADLINE_S)
    assert ask(answering, request_for("1 0 0"))[0] == hits_of(store, request_for("1 0 0"))


def test_eight_at_once_get_what_one_gets(answering, store):
    expected = [hits_of(store, request) for request in REQUESTS]
    together = threading.Barrier(8)

    def ask_all(_):
        together.wait(DEADLINE_S)
        return [[ask(answering, request)[0] for request in REQUESTS] for _ in range(5)]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask_all, range(8))) == [[expected] * 5] * 8


def test_more_than_it_can_take_on_are_sent_away(answering):
    go_on = threading.Event()
    taken = [
        answering.submit(request_for("1 0 0"), lambda _answer: go_on.wait(DEADLINE_S)) for _ in range(MOST_REQUESTS)
    ]
    with pytest.raises(BusyError):
        answering.submit(request_for("1 0 0"), lambda _answer: None)
    assert answering.unused_s == 0
    go_on.set()
    for future in taken:
        future.result(DEADLINE_S)
    assert ask(answering, request_for("1 0 0"))[0] != []


def test_it_knows_for_how_long_nothing_was_asked(answering, monkeypatch):
    ask(answering, request_for("1 0 0"))
    now_s = answering._used_at_s
    monkeypatch.setattr("time.monotonic", lambda: now_s + 5)
    assert answering.unused_s == 5


def test_a_store_that_is_not_there_can_not_be_warmed_up(tmp_path, loaded):
    with Answering(tmp_path / "none", lambda: None) as one, pytest.raises(StoreError, match="no store"):
        one.warm_up().result(DEADLINE_S)


def remembered(store, *texts):
    with Store.open(store) as again:
        return {text: vector.tolist() for text, vector in again.remembered_texts.recall(texts).items()}


def test_what_was_asked_is_remembered_in_the_store(answering, store):
    ask(answering, request_for("1 2 3", "0 1 0"))
    assert remembered(store, "1 2 3", "0 1 0", "4 5 6") == {"1 2 3": [1, 2, 3], "0 1 0": [0, 1, 0]}


def test_but_not_while_others_wait(answering, store):
    go_on = threading.Event()
    waiting = answering.submit(request_for("1 0 0"), lambda _answer: go_on.wait(DEADLINE_S))
    ask(answering, request_for("0 1 0"))
    assert remembered(store, "1 0 0", "0 1 0") == {}
    go_on.set()
    waiting.result(DEADLINE_S)
    assert remembered(store, "1 0 0", "0 1 0") == {"1 0 0": [1, 0, 0], "0 1 0": [0, 1, 0]}


def test_nor_are_too_many_kept_back(answering, store, monkeypatch):
    monkeypatch.setattr(answering_module, "_MOST_UNWRITTEN", 2)
    go_on = threading.Event()
    waiting = answering.submit(request_for("1 0 0"), lambda _answer: go_on.wait(DEADLINE_S))
    ask(answering, request_for("0 1 0"))
    assert remembered(store, "0 1 0") == {}
    ask(answering, request_for("0 0 1"))
    assert remembered(store, "0 1 0", "0 0 1") == {"0 1 0": [0, 1, 0], "0 0 1": [0, 0, 1]}
    go_on.set()
    waiting.result(DEADLINE_S)
