"""Web servers: what they list, and what they can't have happen here."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pe_search.audio import room, web
from pe_search.audio.files import open_clip
from pe_search.audio.find import find_stamps
from pe_search.audio.web import is_public
from pe_search.errors import AudioError
from pe_search.trust import trust_urls
from tests.audio.sites import answering, site_of

SOUND = b"RIFF" + bytes(2_000)


@pytest.fixture
def reason() -> Callable[[str], str]:
    """Why a URL can't be read."""

    def reason(url: str) -> str:
        trust_urls([url])
        with pytest.raises(AudioError) as caught:
            open_clip(Path(url))
        return caught.value.reason

    return reason


def found(url: str) -> tuple[dict[str, tuple], list[tuple[str, str]]]:
    trust_urls([url])
    told: list[tuple[str, str]] = []
    stamps = find_stamps([Path(url)], lambda problem: told.append((str(problem.path), problem.reason))).stamps
    return stamps, told


@pytest.fixture
def site(tmp_path) -> Iterator[tuple[str, list]]:
    folder = tmp_path / "site"
    for name in ("rec/a.wav", "rec/sub/two words & 50%.wav", "rec/.hidden.wav", "rec/notes.txt", "other/b.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(SOUND)
    (folder / "rec/index-of-others.html").write_text('<a href="/other/b.wav">')
    with site_of(folder) as one:
        yield one


def test_a_folder_is_listed_with_the_stamps_of_its_files_and_nothing_beside_it(site, tmp_path):
    url, asked = site
    stamps, told = found(f"{url}/rec/")
    name = url.replace("//", "/")
    assert told == [] and [*stamps] == [f"{name}/rec/a.wav", f"{name}/rec/sub/two%20words%20%26%2050%25.wav"]
    assert all(stamp[0] == len(SOUND) and stamp[3] for stamp in stamps.values())
    assert ("GET", "/other/b.wav") not in asked
    assert [open_clip(Path(one)).read() for one in stamps] == [SOUND, SOUND]
    (tmp_path / "site/rec/a.wav").write_bytes(SOUND + b"more")
    again, _ = found(f"{url}/rec/")
    assert [name for name in stamps if again[name] != stamps[name]] == [f"{name}/rec/a.wav"]


def test_a_pattern_and_what_is_missing_are_one_line(site):
    url, _ = site
    name = url.replace("//", "/")
    pattern = "No such file or directory; a web server knows no patterns: name the folder, and use --exclude"
    assert found(f"{url}/rec/*.wav") == ({}, [(f"{name}/rec/*.wav", pattern)])
    assert found(f"{url}/rec/c.wav") == ({}, [(f"{name}/rec/c.wav", "No such file or directory")])
    refused = "a URL with a password or a query is refused, because the store would keep it; use the environment"
    assert found(f"{url}/rec/a.wav?x=1") == ({}, [(f"{name}/rec/a.wav", refused)])


@pytest.mark.parametrize(
    ("status", "said"), [(401, "can't be read: 401 Unauthorized"), (500, "can't be read: 500 Internal Server Error")]
)
def test_a_server_that_refuses_is_told_of_as_it_says(reason, status, said):
    with answering(lambda handler: handler.send_error(status)) as (url, _):
        assert reason(f"{url}/a.wav") == said


def test_a_server_that_is_not_there_is_one_line(reason):
    with answering(reply) as (url, _):
        pass
    assert reason(f"{url}/a.wav").startswith("can't be read: ConnectionRefusedError")


# Bounds


def reply(handler, headers: dict[str, object], body: bytes = b"") -> None:
    handler.send_response(200)
    for name, value in headers.items():
        handler.send_header(name, str(value))
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(body)


def without_end(handler) -> None:
    reply(handler, {"Content-Type": "audio/wav"})
    try:
        while handler.command == "GET":
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        pass


def test_what_never_ends_is_given_up_at_a_bound(reason, monkeypatch):
    monkeypatch.setattr(room, "_MOST_UNTOLD_BYTES", 1 << 30 >> 7)
    with answering(without_end) as (url, _):
        assert (
            reason(f"{url}/a.wav") == "can't be read: OSError: doesn't end after 0 GiB, and doesn't say how long it is"
        )


def test_what_is_sent_too_slowly_or_for_too_long_is_given_up(monkeypatch):
    clock = iter([0.0, 30.0, 61.0, 130.0])
    monkeypatch.setattr(room.time, "monotonic", lambda: next(clock))
    download = room.Download(io.BytesIO(), 1 << 30)
    download.write(bytes(600 << 10))
    download.write(b"x")
    with pytest.raises(OSError, match="is sent too slowly: 1 bytes in a minute"):
        download.write(b"x")
    clock = iter([0.0, 3_601.0])
    with pytest.raises(OSError, match="doesn't end after an hour"):
        room.Download(io.BytesIO(), None).write(b"x")


def test_a_disk_without_room_is_told_of_before_and_while_it_fills(monkeypatch):
    monkeypatch.setattr(room, "_LOOK_EVERY_BYTES", 1 << 10)
    free = iter([1 << 30, 100])
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: type("Usage", (), {"free": next(free)}))
    download = room.Download(io.BytesIO(), 1 << 10)
    with pytest.raises(OSError, match=r"1,024 bytes are too many for .*, where 100 are free; set TMPDIR"):
        download.write(bytes(1 << 10))


@pytest.mark.parametrize("length", [10, 5_000])
def test_a_length_that_is_a_lie_is_no_clip_or_a_shorter_one(reason, length):
    with answering(lambda handler: reply(handler, {"Content-Length": length}, SOUND)) as (url, _):
        trust_urls([url])
        try:
            assert open_clip(Path(f"{url}/a.wav")).read() == SOUND[:length]
        except AudioError as error:
            assert error.reason.startswith("can't be read: ") and error.reason.isprintable()
            assert len(error.reason) < 250


def test_a_bomb_of_gzip_ends_at_the_bound(reason, monkeypatch):
    monkeypatch.setattr(room, "_MOST_UNTOLD_BYTES", 4 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    headers = {"Content-Length": len(bomb), "Content-Encoding": "gzip"}
    with answering(lambda handler: reply(handler, headers, bomb)) as (url, _):
        assert "doesn't end after" in reason(f"{url}/a.wav")


def test_folders_within_folders_without_end_are_given_up(monkeypatch):
    monkeypatch.setattr(web, "_MOST_FOLDERS", 8)
    page = b'<a href="1/">1</a><a href="2/">2</a><a href="../">up</a><a href="%2e%2e/x/">up</a><a href="http://[">'

    def answer(handler) -> None:
        reply(handler, {"Content-Type": "text/html", "Content-Length": len(page)}, page)

    with answering(answer) as (url, asked):
        _, told = found(f"{url}/rec/")
    assert len(told) == 1 and "it lists more than 8 folders or 2,000,000 files; name one folder" in told[0][1]
    assert all(path.startswith("/rec") for _, path in asked) and len(asked) < 20


def test_a_list_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(web, "_LONGEST_PAGE_BYTES", 1 << 20)

    def answer(handler) -> None:
        reply(handler, {"Content-Type": "text/html"})
        try:
            while handler.command == "GET":
                handler.wfile.write(b"<a href=x>" * 1_000)
        except OSError:
            pass

    with answering(answer) as (url, _):
        _, told = found(f"{url}/rec/")
    assert len(told) == 1 and "is longer than 1 MiB" in told[0][1]


# Where a server leads


def redirecting(to: str) -> Callable[..., None]:
    def answer(handler) -> None:
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]", "0"])
def test_a_redirect_to_this_machine_or_its_network_is_refused(reason, host):
    with answering(lambda handler: reply(handler, {}, SOUND)) as (inner, asked):
        port = inner.rpartition(":")[2]
        with answering(redirecting(f"http://{host}:{port}/latest/meta-data")) as (url, _):
            said = reason(f"{url}/a.wav")
            assert said.endswith("is on this machine or its network, and was not named") or "canonical" in said
        assert asked == []


def test_addresses_of_this_machine_and_its_network_are_not_public():
    for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "0.0.0.0"):
        assert not is_public(address), address
    for address in ("64:ff9b::a9fe:a9fe", "2002:7f00:1::", "224.0.0.1", "100.64.0.1", "fd00:ec2::254"):
        assert not is_public(address), address
    for address in ("8.8.8.8", "2001:4860:4860::8888", "64:ff9b::808:808"):
        assert is_public(address), address
