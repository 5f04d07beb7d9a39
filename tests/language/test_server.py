"""A language model behind a server: what is sent, byte by byte, and what is made of every kind of reply."""

from __future__ import annotations

import base64
import email.utils
import json
import re
import struct
import threading
import time

import numpy as np
import pytest

from pe_search.descriptions import Turn
from pe_search.errors import LanguageModelError, UnansweredError
from pe_search.language.conversations import SAMPLE_RATE_HZ, Conversation, CutAnswer
from pe_search.language.server import ServerModel, wav_of
from tests.language.stand_in import SOUND_TOKENS, StandIn, hears, refused, said
from tests.made_up import tone

SOUND = tone(0.5, 440, SAMPLE_RATE_HZ)


def one(question: str = "What is this?", *turns: Turn) -> list[Conversation]:
    return [Conversation(SOUND, question, turns)]


def cut(text: str):
    """A reply that ended at the limit of tokens."""
    status, headers, content = said(text)
    reply = json.loads(content)
    reply["choices"][0]["finish_reason"] = "length"
    return status, headers, json.dumps(reply).encode()


def unanswered(model: ServerModel) -> str:
    """Why the only question gets no answer."""
    (why,) = model.answer(one())
    assert isinstance(why, UnansweredError)
    return str(why)


def never(seconds: float) -> None:
    raise AssertionError(f"it waited {seconds} s")


def test_the_sound_is_a_wav_file_of_16_bits_at_16_khz():
    samples = np.array([0.0, 1.0, -1.0, 0.5, 2.0, -2.0], np.float32)
    whole = [0, 32767, -32767, 16384, 32767, -32767]
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 48, b"WAVE", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16, b"data", 12
    )
    assert wav_of(samples) == head + struct.pack("<6h", *whole)


def test_the_request_byte_by_byte():
    with StandIn() as server:
        model = ServerModel(server.url, "secret", sleep=never)
        assert list(model.answer(one())) == ["A dog barking."]
        sent = server.chats[0]
        sound = base64.b64encode(wav_of(SOUND)).decode()
        assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
        assert sent.headers["Authorization"] == "Bearer secret"
        assert sent.headers["Content-Type"] == "application/json"
        assert sent.body == (
            '{"model": "tiny-audio", "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": '
            f'{{"data": "{sound}", "format": "wav"}}}}, {{"type": "text", "text": "What is this?"}}]}}], '
            '"temperature": 0, "max_tokens": 256}'
        ).encode("ascii")
        without = [request for request in server.received if not request.has_sound]
        assert [request.json["messages"][0]["content"] for request in without] == [
            [{"type": "text", "text": "What is this?"}]
        ]
        assert (model.name, model.revision, model.host) == (f"{server.url}#tiny-audio", "", None)


def test_a_follow_up_has_the_turns_before_it_and_the_sound_once():
    with StandIn() as server:
        (answer,) = ServerModel(server.url).answer(one("Is it large?", Turn("What is this?", "A dog.")))
    messages = server.chats[0].json["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert [part["type"] for part in messages[0]["content"]] == ["input_audio", "text"]
    assert messages[0]["content"][1]["text"] == "What is this?"
    assert (messages[1]["content"], messages[2]["content"]) == ("A dog.", "Is it large?")
    assert answer == "A dog barking."


def test_answers_come_in_the_order_of_the_conversations_whichever_is_ready_first():
    turn_of_the_last = threading.Event()

    def answer(request):
        if not request.has_sound:
            return said("", 5)
        question = request.json["messages"][0]["content"][1]["text"]
        if question == "1":  # answered only after a later one
            assert turn_of_the_last.wait(60)
        if question == "3":
            turn_of_the_last.set()
        return said(f"answer {question}", 50)

    with StandIn(answer) as server:
        asked = [Conversation(SOUND, str(number)) for number in range(5)]
        assert list(ServerModel(server.url).answer(asked)) == [f"answer {number}" for number in range(5)]


@pytest.mark.parametrize(("reply", "pattern"), [
    (said("A cat.", 10), "did not hear the sound: its prompt is not longer"),
    ((200, {}, b"<html>"), "sends no JSON"),
    ((200, {}, b"[" * 100_000), "sends no JSON"),
    ((200, {}, b'{"data": "x"}'), "sends no answer as OpenAI's interface has it"),
    (said(["a"], None), "sends no answer as OpenAI's interface has it"),
    (refused(401, "Invalid API key"), r"refuses with status 401: Invalid API key"),
    (refused(404, "no model 'x'"), r"refuses with status 404: no model 'x'"),
    ((302, {"Location": "http://example.com/v1"}, b""),
     r"redirects \(status 302\) to http://example\.com/v1, and .* If you trust that server, give its URL\.$"),
    ((307, {"Location": "/v2/x"}, b""), r"redirects \(status 307\) to http://127\.0\.0\.1:\d+/v2/x, and"),
    ((301, {}, b""), r"redirects \(status 301\), and pe-search follows no redirect\. Check the URL\.$"),
    ((200, {}, b" " * (1 << 22) + b"{}"), "sends more than 4,194,304 bytes"),
])  # fmt: skip
def test_what_no_question_will_be_answered_after(reply, pattern):
    with StandIn(lambda request: reply if request.has_sound else said("", 10)) as server:
        with pytest.raises(LanguageModelError, match=pattern) as raised:
            list(ServerModel(server.url, sleep=never).answer(one()))
        assert not isinstance(raised.value, UnansweredError)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("reply", "pattern"), [
    (refused(400, "audio\n  too short"), "refuses with status 400: audio too short"),
    ((500, {}, b"out of memory\nmore"), "refuses with status 500: out of memory more"),
    ((422, {}, json.dumps({"detail": [{"loc": 1}]}).encode()), r'refuses with status 422: \[\{"loc": 1\}\]'),
    ((200, {}, b'{"error": {"message": "upstream\\nis gone"}}'), r"/v1 replies with an error: upstream is gone$"),
    ((200, {}, b'{"error": "x"}'), r"/v1 replies with an error: x$"),
    ((200, {}, b'{"error": {"code": 7}}'), r'/v1 replies with an error: \{"code": 7\}$'),
    ((200, {}, json.dumps({"error": "a" * 5_000 + "z"}).encode()), r"replies with an error: a{222} … a{74}z$"),
    ((200, {}, b'{"error": "\\u001b[31mred"}'), "replies with an error: \ufffd\\[31mred$"),
    (cut(""), "the language model has said nothing by the limit of 256 tokens$"),
    (said("  \n"), "empty answer"),
    (said(None), "empty answer"),
    (said("x" * 20_001), "gives an answer of more than 20,000 characters"),
])  # fmt: skip
def test_what_one_question_gets_no_answer_by(reply, pattern):
    with StandIn(lambda _request: reply) as server:
        assert re.search(pattern, unanswered(ServerModel(server.url, sleep=never)))


def test_an_answer_that_ended_at_the_limit_of_tokens_is_marked():
    with StandIn(lambda _request: cut(" A dog is ")) as server:
        (answer,) = ServerModel(server.url).answer(one())
    assert (answer, type(answer)) == ("A dog is", CutAnswer)
    with StandIn() as server:
        assert [type(answer) for answer in ServerModel(server.url).answer(one())] == [str]


def test_a_list_of_models_that_is_an_error_is_told(monkeypatch):
    monkeypatch.setattr(ServerModel, "_send", lambda *_: (200, {}, b'{"error": "no such path"}'))
    with pytest.raises(LanguageModelError, match=r"^http://localhost:1/v1 replies with an error: no such path$"):
        ServerModel("http://localhost:1/v1")


def test_a_redirect_from_https_to_http_says_what_that_would_give_away(monkeypatch):
    moved = (301, {"Location": "http://[::1]/v1"}, b"")
    monkeypatch.setattr(ServerModel, "_send", lambda *_: moved)
    with pytest.raises(LanguageModelError) as raised:
        ServerModel("https://localhost:1/v1")
    assert str(raised.value) == (
        "https://localhost:1/v1 redirects (status 301) to http://[::1]/v1, and pe-search follows no redirect. Over "
        "http, neither key nor sound is encrypted. If you trust that server, give its URL."
    )


def test_https_for_a_server_without_it_says_what_to_write():
    with StandIn() as server:
        url = server.url.replace("http://", "https://")
        with pytest.raises(LanguageModelError) as raised:
            ServerModel(url)
    assert re.fullmatch(
        rf"{url} does not speak TLS \([A-Z_]+\)\. If it is meant, write http:// in place of https://\.",
        str(raised.value),
    )


def test_one_without_an_answer_takes_none_from_the_others_and_nothing_is_asked_twice():
    def answer(request):
        bad = request.has_sound and request.json["messages"][0]["content"][1]["text"] == "2"
        return refused(400, "no") if bad else hears("yes")(request)

    with StandIn(answer) as server:
        answers = list(ServerModel(server.url).answer([Conversation(SOUND, str(number)) for number in range(5)]))
        assert [isinstance(one, UnansweredError) for one in answers] == [False, False, True, False, False]
        assert len(server.chats) == 5


def test_one_that_refuses_every_question_is_given_up():
    with StandIn(lambda _request: refused(500, "CUDA error")) as server:
        model = ServerModel(f"{server.url}#x", sleep=never)
        for _ in range(4):
            assert unanswered(model).endswith("refuses with status 500: CUDA error")
        with pytest.raises(
            LanguageModelError, match=r"500: CUDA error\. None of 5 questions was answered\.$"
        ) as raised:
            list(model.answer(one()))
        assert not isinstance(raised.value, UnansweredError)


def test_one_that_has_answered_may_refuse_any_number_after_it():
    answers = iter([hears("yes")] * 2)
    with StandIn(lambda request: next(answers, lambda _: refused(500))(request)) as server:
        model = ServerModel(f"{server.url}#x", sleep=never)
        assert list(model.answer(one())) == ["yes"]
        for _ in range(9):
            assert unanswered(model)


@pytest.mark.parametrize(("key", "pattern"), [
    (None, r"status 401: who\?\. It wants a key: set PE_SEARCH_LANGUAGE_MODEL_KEY\.$"),
    ("x", r"status 401: who\?\. Its key is another one: set PE_SEARCH_LANGUAGE_MODEL_KEY\.$"),
])  # fmt: skip
def test_a_server_that_wants_a_key_says_where_to_put_it(key, pattern):
    with StandIn(lambda _: refused(401, "who?")) as server, pytest.raises(LanguageModelError, match=pattern):
        list(ServerModel(f"{server.url}#x", key, sleep=never).answer(one()))


@pytest.mark.parametrize("key", ["a\nb", "schl\u00fcssel", "\x1b"])
def test_a_key_that_no_header_can_have_is_one_line_without_it(key):
    with StandIn() as server:
        with pytest.raises(LanguageModelError, match="PE_SEARCH_LANGUAGE_MODEL_KEY has characters other") as raised:
            ServerModel(f"{server.url}#x", key)
        assert key not in str(raised.value)
        assert list(ServerModel(f"{server.url}#x", " secret\n").answer(one())) == ["A dog barking."]
        assert server.chats[0].headers["Authorization"] == "Bearer secret"


def test_a_server_that_takes_no_sound_says_what_to_give():
    complaint = "audio input is not supported - hint: you may need to provide the mmproj"
    with StandIn(lambda _request: refused(500, complaint)) as server:
        with pytest.raises(LanguageModelError, match=r"#x hears no sound: audio input .* mmproj$") as raised:
            list(ServerModel(f"{server.url}#x", sleep=never).answer(one()))
        assert not isinstance(raised.value, UnansweredError)


def test_a_server_that_does_not_count_tokens_is_believed():
    with StandIn(lambda _request: said("A dog.")) as server:
        assert list(ServerModel(server.url).answer(one())) == ["A dog."]
        assert len(server.received) == 1


def test_a_server_that_wants_a_sound_in_every_request_is_believed():
    with StandIn(lambda request: said("A dog.", 99) if request.has_sound else refused(400)) as server:
        assert list(ServerModel(server.url).answer(one())) == ["A dog."]


def test_how_long_the_question_is_alone_is_asked_once_for_each_question():
    with StandIn() as server:
        model = ServerModel(server.url)
        assert len(list(model.answer(one() * 3))) == 3
        assert len(list(model.answer(one("Another?")))) == 1
        assert len(server.received) - len(server.chats) == 2
        assert SOUND_TOKENS > 0


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says(status):
    waits: list[float] = []
    replies = iter([refused(status, Retry_After="7"), refused(status), refused(status, Retry_After="3600")])
    with StandIn(lambda _request: next(replies, said("A dog."))) as server:
        assert list(ServerModel(server.url, sleep=waits.append).answer(one())) == ["A dog."]
    assert waits == [7.0, 2.0, 60.0]


def test_a_server_may_say_at_what_time_to_ask_again():
    waits: list[float] = []
    at = email.utils.formatdate(time.time() - 100, usegmt=True)
    replies = iter([refused(503, Retry_After=at), refused(503, Retry_After="soon")])
    with StandIn(lambda _request: next(replies, said("A dog."))) as server:
        assert list(ServerModel(server.url, sleep=waits.append).answer(one())) == ["A dog."]
    assert waits == [0.0, 2.0]


def test_a_server_that_stays_busy_is_given_up():
    waits: list[float] = []
    with StandIn(lambda _request: refused(429, "quota")) as server:
        with pytest.raises(LanguageModelError, match="status 429: quota"):
            list(ServerModel(server.url, sleep=waits.append).answer(one()))
        assert len(server.received) == 5
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_a_server_that_stalls_is_given_up():
    with StandIn(lambda _request: None) as server:
        model = ServerModel(f"{server.url}#tiny", patience_s=0.1)
        with pytest.raises(LanguageModelError, match=r"does not answer within 0\.1 s"):
            list(model.answer(one()))


def test_nobody_waits_for_a_reply_that_is_not_wanted_any_more(monkeypatch):
    failures: list[str] = []
    arrived = threading.Event()
    send = ServerModel._send

    def watched(*args):
        try:
            return send(*args)
        except LanguageModelError as error:
            failures.append(str(error))
            raise

    def answer(request):
        if request.has_sound and request.json["messages"][0]["content"][1]["text"] == "2":
            arrived.set()
            return None
        return hears("yes")(request)

    monkeypatch.setattr(ServerModel, "_send", watched)
    with StandIn(answer) as server:
        answers = ServerModel(server.url, patience_s=60).answer(
            [Conversation(SOUND, str(number)) for number in range(3)]
        )
        assert [next(answers), next(answers)] == ["yes", "yes"]
        assert arrived.wait(60)
        answers.close()
    assert len(failures) == 1
    assert "within 60 s" not in failures[0]


def test_a_server_that_is_not_there():
    with StandIn() as server:
        url = server.url
    with pytest.raises(LanguageModelError, match="can't be reached: Connection refused"):
        ServerModel(url)


def test_the_model_is_the_only_one_or_the_one_named():
    with StandIn(models=("a", "b")) as server:
        with pytest.raises(LanguageModelError, match=r"has several models\. Name one, as in .*/v1#NAME: a, b"):
            ServerModel(server.url)
        list(ServerModel(f"{server.url}#b").answer(one()))
        assert server.chats[0].json["model"] == "b"
    with StandIn(models=()) as server, pytest.raises(LanguageModelError, match="lists no model"):
        ServerModel(server.url)


def test_the_name_of_a_model_is_text_and_sent_back_as_it_is():
    with StandIn(models=("\x1b[31m\ud800" + "x" * 999,)) as server:
        model = ServerModel(server.url)
        assert model.name == f"{server.url}#\ufffd[31m\ufffd{'x' * 194}"
        assert list(model.answer(one())) == ["A dog barking."]
        assert server.chats[0].json["model"] == "\x1b[31m\ud800" + "x" * 999


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_path_of_the_url_may_be_left_out_or_be_whole(end):
    with StandIn() as server:
        list(ServerModel(server.url.removesuffix("/v1") + end).answer(one()))
        assert server.chats[0].path == "/v1/chat/completions"


@pytest.mark.parametrize("url", [
    "http://", "http://:80", "http://a:b/", "http://me:secret@host/v1", "http://host/v1?key=x", "https://[::1",
    "http://host/a b", "http://ho st/v1", "http://host/\x01", "http://höst/v1",
])  # fmt: skip
def test_what_is_no_url_of_a_server(url):
    with pytest.raises(LanguageModelError, match="is not the URL of a server"):
        ServerModel(url)


@pytest.mark.parametrize(("host", "is_elsewhere"), [
    ("localhost", False), ("127.0.0.1", False), ("127.8.8.8", False), ("[::1]", False), ("box.localhost", False),
    ("192.168.1.5", True), ("api.example.com", True), ("localhost.example.com", True),
])  # fmt: skip
def test_it_knows_whether_the_sound_leaves_the_machine(host, is_elsewhere):
    model = ServerModel(f"https://{host}/v1#some-model")
    assert model.host == (host if is_elsewhere else None)


@pytest.mark.parametrize("samples", [
    np.zeros(0, np.float32), np.ones(1_000, np.float32), np.ones(31 * SAMPLE_RATE_HZ, np.float32),
    np.ones((SAMPLE_RATE_HZ, 2), np.float32),
])  # fmt: skip
def test_a_sound_of_another_length_or_shape_is_never_sent(samples):
    with StandIn() as server:
        with pytest.raises(ValueError, match="must be"):
            list(ServerModel(server.url).answer([Conversation(samples, "What is this?")]))
        assert not server.received
