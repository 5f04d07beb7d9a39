"""A language model behind an OpenAI-compatible server: llama-server, vLLM, LM Studio and the like.

Each conversation is one `POST {base}/chat/completions` with the sound as an `input_audio` part, as
https://platform.openai.com/docs/api-reference/chat has it. Redirects are not followed, so that the key and the sound go
nowhere else.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import io
import ipaddress
import json
import socket
import ssl
import threading
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

import numpy as np
from numpy.typing import NDArray

from pe_search.errors import LanguageModelError, UnansweredError, excerpt, quoted
from pe_search.language.conversations import (
    CUT_BEFORE_IT_BEGINS,
    LONGEST_ANSWER_TOKENS,
    SAMPLE_RATE_HZ,
    Conversation,
    CutAnswer,
    checked,
    plain,
)

KEY_VARIABLE = "PE_SEARCH_LANGUAGE_MODEL_KEY"
# A large model on a CPU may take minutes for an answer, of which nothing is sent before all is done.
_PATIENCE_S = 600.0
_TRIES = 5
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LARGEST_REPLY_BYTES = 1 << 22
_LONGEST_COMPLAINT = 300
_LONGEST_NAME = 200
_AT_ONCE = 4
# Far more than the tokens that are asked for can be.
_LONGEST_ANSWER = 20_000
_OK, _TOO_MANY, _UNAVAILABLE = 200, 429, 503
# What a server says of one request, and not of itself.
_OF_ONE_REQUEST = (_OK, 400, 413, 422, 500)
# Unless it says so of each. So many are refused before it is given up, if none was answered.
_MOST_REFUSED = 5
# As llama-server has it.
_DEAF = "audio input is not supported"
_WANTS_KEY = (401, 403)


class ServerModel:
    """A language model behind a server.

    Args:
        url: Its base, as `http://localhost:8080/v1`; without a path, `/v1` is meant. A fragment names the model, as in
            `http://localhost:1234/v1#qwen2-audio`; without one, the server must have one model alone.
        key: What it is shown as a bearer token; None if it needs none.
        patience_s: How long to wait for any byte of a reply.
        sleep: Waits for some seconds; None for what ends early if nobody wants the answers any more.

    Raises:
        LanguageModelError: If the URL or the key is not valid, the server can't be reached, or it has several models.
    """

    batch = _AT_ONCE
    # A server doesn't tell.
    revision = ""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        patience_s: float = _PATIENCE_S,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._url = _split(url)
        self._key = (key or "").strip()
        if not (self._key.isascii() and self._key.isprintable()):
            # Its value is shown nowhere.
            raise LanguageModelError(f"The key in {KEY_VARIABLE} has characters other than printable ASCII.")
        self._patience_s = patience_s
        # Threads that wait would keep the process from ending.
        self._hung_up = threading.Event()
        self._open: set[http.client.HTTPConnection] = set()
        self._sleep = sleep or self._hung_up.wait
        self._base = f"{self._url.scheme}://{self._url.netloc}{self._url.path}"
        self._model = self._url.fragment or self._only_model()
        # The server has told it, perhaps.
        self.name = f"{self._base}#{plain(self._model)[:_LONGEST_NAME]}"
        host = self._url.hostname or ""
        self.host = None if _is_here(host) else host
        self._has_answered = False
        self._refused = 0
        # By what is asked: a sound always takes some tokens, so one that was heard makes the prompt longer.
        self._tokens_without: dict[str, int | None] = {}

    def answer(self, conversations: Sequence[Conversation]) -> Iterator[str | UnansweredError]:
        """As `LanguageModel.answer`."""
        checked(conversations)
        if conversations and not self._has_answered:
            # The first alone: what is wrong with the server is wrong with all of them.
            first, *conversations = conversations
            yield self._tried(first)
        if not conversations:
            return
        self._hung_up.clear()
        with ThreadPoolExecutor(min(self.batch, len(conversations)), thread_name_prefix="asking") as pool:
            waiting = [pool.submit(self._tried, one) for one in conversations]
            try:
                for work in waiting:
                    yield work.result()
            finally:
                for work in waiting:
                    work.cancel()
                self._hang_up()

    def _tried(self, conversation: Conversation) -> str | UnansweredError:
        try:
            answer = self._answer(conversation)
        except UnansweredError as error:
            return error
        self._has_answered = True
        return answer

    def _answer(self, conversation: Conversation) -> str:
        reply = self._ask(_messages(conversation), LONGEST_ANSWER_TOKENS)
        text = _text_of(reply)
        if text is None and isinstance(reply, dict) and reply.get("error"):
            # Some have status 200 for what went wrong behind them.
            self._refuse(_OK, _complaint_of(reply), is_question=True)
        if text is None:
            raise LanguageModelError(f"{self._base} sends no answer as OpenAI's interface has it. Check the URL.")
        heard = _prompt_tokens(reply)
        if heard is not None:
            deaf = self._without_sound(conversation)
            if deaf is not None and heard <= deaf:
                raise LanguageModelError(
                    f"{self.name} did not hear the sound: its prompt is not longer with the sound than without it. Use "
                    "a model that takes audio (for llama-server, also give its --mmproj)."
                )
        is_cut = _is_cut(reply)
        if not text.strip():
            raise UnansweredError(CUT_BEFORE_IT_BEGINS if is_cut else "the language model gives an empty answer")
        if len(text) > _LONGEST_ANSWER:
            raise UnansweredError(f"the language model gives an answer of more than {_LONGEST_ANSWER:,} characters")
        return CutAnswer(text.strip()) if is_cut else text.strip()

    def _without_sound(self, conversation: Conversation) -> int | None:
        """How many tokens the same question takes without the sound; None if that can't be told."""
        messages = _messages(conversation, with_sound=False)
        asked = json.dumps(messages)
        if asked not in self._tokens_without:
            try:
                self._tokens_without[asked] = _prompt_tokens(self._ask(messages, 1))
            except UnansweredError:  # a server that wants audio in every request
                self._tokens_without[asked] = None
        return self._tokens_without[asked]

    def _ask(self, messages: list[dict[str, Any]], most_tokens: int) -> Any:
        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": most_tokens}
        return self._request("POST", "/chat/completions", json.dumps(body).encode("ascii"))

    def _only_model(self) -> str:
        reply = self._request("GET", "/models")
        listed = reply.get("data") if isinstance(reply, dict) else None
        ids = [one.get("id") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        names = [str(name) for name in ids if isinstance(name, str)]
        if not names and isinstance(reply, dict) and reply.get("error"):
            self._refuse(_OK, _complaint_of(reply), is_question=False)
        if not names:
            raise LanguageModelError(f"{self._base} lists no model. Name one, as in {self._base}#NAME.")
        if len(names) > 1:
            shown = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
            raise LanguageModelError(f"{self._base} has several models. Name one, as in {self._base}#NAME: {shown}.")
        return names[0]

    def _request(self, method: str, path: str, body: bytes | None = None) -> Any:
        """What the server replies, as JSON. It is asked again while it is busy."""
        wait_s = _FIRST_WAIT_S
        for tries_left in reversed(range(_TRIES)):
            status, headers, content = self._send(method, path, body)
            if status not in (_TOO_MANY, _UNAVAILABLE) or not tries_left or self._hung_up.is_set():
                break
            asked_s = _seconds(headers.get("Retry-After"))
            self._sleep(min(wait_s if asked_s is None else asked_s, _LONGEST_WAIT_S))
            wait_s *= 2
        if 300 <= status < 400:
            self._refuse_redirect(status, headers.get("Location"))
        if status != _OK:
            self._refuse(status, _complaint(content), is_question=method == "POST")
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise LanguageModelError(f"{self._base} sends no JSON. Check the URL.") from None

    def _refuse_redirect(self, status: int, location: str | None) -> NoReturn:
        """Raise what says where it leads: the key and the sound go nowhere that the user has not named."""
        what = f"{self._base} redirects (status {status})"
        if not location:
            raise LanguageModelError(f"{what}, and pe-search follows no redirect. Check the URL.")
        place = urljoin(f"{self._base}/", plain(location))
        risk = ""
        if self._url.scheme == "https" and urlsplit(place).scheme == "http":
            risk = " Over http, neither key nor sound is encrypted."
        raise LanguageModelError(
            f"{what} to {excerpt(place)}, and pe-search follows no redirect.{risk} If you trust that server, give its "
            "URL."
        )

    def _refuse(self, status: int, complaint: str, *, is_question: bool) -> NoReturn:
        what = f"{self._base} refuses with status {status}{complaint}"
        if status == _OK:
            what = f"{self._base} replies with an error{complaint}"
        if _DEAF in complaint:
            raise LanguageModelError(f"{self.name} hears no sound{complaint}")
        if status in _WANTS_KEY:
            wanted = "Its key is another one" if self._key else "It wants a key"
            what = f"{what.removesuffix('.')}. {wanted}: set {KEY_VARIABLE}."
        if not is_question or status not in _OF_ONE_REQUEST:
            raise LanguageModelError(what)
        self._refused += 1
        if self._refused >= _MOST_REFUSED and not self._has_answered:
            raise LanguageModelError(f"{what.removesuffix('.')}. None of {self._refused} questions was answered.")
        raise UnansweredError(what)

    def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, http.client.HTTPMessage, bytes]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with closing(self._connection()) as connection:
                self._open.add(connection)
                try:
                    connection.request(method, self._url.path + path, body, headers)
                    response = connection.getresponse()
                    content = response.read(_LARGEST_REPLY_BYTES + 1)
                finally:
                    self._open.discard(connection)
        except TimeoutError as error:
            raise LanguageModelError(f"{self._base} does not answer within {self._patience_s:g} s.") from error
        except ssl.SSLCertVerificationError as error:
            raise LanguageModelError(
                f"{self._base} has a certificate that can't be trusted: {error.verify_message}."
            ) from error
        except ssl.SSLError as error:
            raise LanguageModelError(
                f"{self._base} does not speak TLS ({error.reason}). If it is meant, write http:// in place of https://."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise LanguageModelError(f"{self._base} can't be reached: {reason}. Start the server first.") from error
        if len(content) > _LARGEST_REPLY_BYTES:
            raise LanguageModelError(f"{self._base} sends more than {_LARGEST_REPLY_BYTES:,} bytes.")
        return response.status, response.headers, content

    def _hang_up(self) -> None:
        """End what still waits for a reply that nobody wants."""
        self._hung_up.set()
        for connection in tuple(self._open):
            # One that has ended meanwhile has no socket any more.
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=self._patience_s, context=context)
        return http.client.HTTPConnection(host, port, timeout=self._patience_s)


def is_url(name: str) -> bool:
    """Whether a name is that of a server, and not of a checkpoint."""
    return name.lower().startswith(("http://", "https://"))


def wav_of(samples: NDArray[np.float32]) -> bytes:
    """A WAV file of 16 bits, mono at `SAMPLE_RATE_HZ`."""
    whole = np.round(np.clip(samples, -1.0, 1.0) * 32_767.0).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(SAMPLE_RATE_HZ)
        writer.writeframes(whole.tobytes())
    return file.getvalue()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    address = parts.netloc + parts.path
    is_plain = address.isascii() and address.isprintable() and " " not in address
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or not is_plain:
        raise LanguageModelError(f"{quoted(url)} is not the URL of a server: write it as http://localhost:8080/v1.")
    path = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
    return parts._replace(path=path)


def _is_here(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _messages(conversation: Conversation, *, with_sound: bool = True) -> list[dict[str, Any]]:
    questions = [*(turn.question for turn in conversation.turns), conversation.question]
    first: list[dict[str, Any]] = [{"type": "text", "text": questions[0]}]
    if with_sound:
        data = base64.b64encode(wav_of(conversation.samples)).decode("ascii")
        first.insert(0, {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
    messages: list[dict[str, Any]] = [{"role": "user", "content": first}]
    for turn, question in zip(conversation.turns, questions[1:], strict=True):
        messages.append({"role": "assistant", "content": turn.answer})
        messages.append({"role": "user", "content": question})
    return messages


def _text_of(reply: Any) -> str | None:
    """The text of a reply; None if it has another shape."""
    try:
        message = reply["choices"][0]["message"]
        text = message.get("content")
    except (LookupError, TypeError, AttributeError):
        return None
    return text if isinstance(text, str) else "" if text is None else None


def _is_cut(reply: Any) -> bool:
    """Whether a reply whose text was read says that it ended at the limit of tokens."""
    return bool(reply["choices"][0].get("finish_reason") == "length")


def _prompt_tokens(reply: Any) -> int | None:
    usage = reply.get("usage") if isinstance(reply, dict) else None
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if type(tokens) is int else None


def _complaint(content: bytes) -> str:
    """What a server says of a refusal, in one line."""
    text = content.decode("utf-8", "replace")
    try:
        reply = json.loads(text)
    except (ValueError, RecursionError):
        reply = None
    return _complaint_of(reply) if isinstance(reply, dict) else _after_colon(text)


def _complaint_of(reply: dict[str, Any]) -> str:
    error = reply.get("error", reply)
    inner = error.get("message", error.get("detail", error)) if isinstance(error, dict) else error
    return _after_colon(inner if isinstance(inner, str) else json.dumps(inner))


def _after_colon(text: str) -> str:
    line = excerpt(" ".join(plain(text).split()), _LONGEST_COMPLAINT)
    return f": {line}" if line else "."


def _seconds(retry_after: str | None) -> float | None:
    """How long a server asks to wait, in seconds or to a date; None if it doesn't say."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        at = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    return max(0.0, at.timestamp() - time.time())
