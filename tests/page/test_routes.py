"""What the server of the page answers, and whom."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import soundfile

import pe_search
from pe_search.known.fields import CLIP_FIELDS, HIT_FIELDS, all_of, named
from pe_search.serving.answering import MOST_REQUESTS
from pe_search.serving.http import make_app
from pe_search.serving.page import listening
from pe_search.serving.page.files import HEADERS
from pe_search.serving.page.keys import pass_of
from pe_search.serving.web import Web
from tests.page.conftest import HOSTILE, KEY, SOUNDS
from tests.serving.test_http import client_of

PASS = pass_of(KEY)
DATA = (
    "state",
    "hits?text=rain",
    "words",
    "judgements?word=@it",
    "map",
    "map/better",
    "counts?text=rain",
    "duplicates",
    "outliers",
)
PICTURES = (f"peaks/{'0' * 64}", f"spectrogram/{'0' * 64}", f"clips/{'0' * 64}", f"said/{'0' * 64}")
DATA += (*PICTURES, "map/better", f"gain/{'0' * 64}?from=0&to=1")
SOUND = (f"audio/{'0' * 64}", f"file/{'0' * 64}")


# Its files


def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(reader):
    page = reader.get("/page/", headers={"Authorization": ""})
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert names
    for name in [name for name in names if name.endswith(".js")]:
        names += re.findall(r'"\./(.+\.js)"', reader.get(f"/page/{name}").text)
    for name in {*names, "icon.svg"}:
        response = reader.get(f"/page/{name}")
        assert response.status_code == 200, name
        assert {header: response.headers[header] for header in HEADERS} == HEADERS
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", response.text), name
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")


def test_the_first_view_is_small(reader):
    page = reader.get("/page/").text
    names = {"app.js", "texts.js", *re.findall(r'(?:src|href)="([^"]+)"', page)}
    assert len(page) + sum(len(reader.get(f"/page/{name}").content) for name in names) < 150_000


def test_a_browser_asks_again_for_what_it_has_and_gets_nothing(reader):
    first = reader.get("/page/app.js")
    again = reader.get("/page/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["..%2fhttp.py", "%2e%2e/routes.py", "nothing.js", "__init__.py"])
def test_there_is_no_other_file(reader, name):
    assert reader.get(f"/page/{name}").status_code == 404


def test_without_a_page_there_is_none(answering):
    assert client_of(answering).get("/page/").status_code == 404


# Whom


@pytest.mark.parametrize("shown", ["", "Bearer wrong", f"Bearer {PASS}", KEY])
def test_data_needs_the_key(reader, shown):
    for path in DATA:
        assert reader.get(f"/page/{path}", headers={"Authorization": shown}).status_code == 401, path


@pytest.mark.parametrize("path", SOUND)
def test_sound_needs_the_pass(reader, path):
    for given in ("", "?pass=", "?pass=wrong", f"?pass={KEY}"):
        assert reader.get(f"/page/{path}{given}").status_code == 401
    assert reader.get(f"/page/{path}?pass={PASS}", headers={"Authorization": ""}).status_code == 404


@pytest.mark.parametrize(
    "header", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_pages_of_others_get_nothing_even_with_the_key(reader, header):
    for path in DATA:
        assert reader.get(f"/page/{path}", headers=header).status_code == 403
    for path in SOUND:
        assert reader.get(f"/page/{path}?pass={PASS}", headers=header).status_code == 403
    for path in ("tags", "judgements", "sounds"):
        assert reader.post(f"/page/{path}", content=b"{}", headers=header).status_code == 403


def test_an_origin_that_may_ask_for_hits_may_not_use_the_page(answering):
    origin = "http://localhost:3000"
    client = client_of(answering, Web("127.0.0.1", 0, None, (origin,), KEY))
    headers = {"Origin": origin, "Authorization": f"Bearer {KEY}"}
    assert client.get("/hits?text=rain", headers=headers).status_code == 200
    assert client.get("/page/state", headers=headers).status_code == 403


def test_a_name_that_somebody_made_point_here_is_refused(answering):
    client = client_of(answering, Web("127.0.0.1", 0, None, (), KEY), host="evil.example")
    assert client.get("/page/").status_code == 400


def test_writing_by_a_form_of_another_site_is_refused(client, scene):
    """A form can send no header of its own, and no cookie helps it: there is none."""
    body = json.dumps({"clips": [scene.digest("dog-barking.flac")], "add": ["bad"]})
    response = client.post("/page/tags", content=body, headers={"Content-Type": "text/plain", "Authorization": ""})
    assert response.status_code == 401
    assert "set-cookie" not in client.get("/page/").headers
    with pe_search.open(scene.store) as library:
        assert library.tags() == {}


def test_what_somebody_without_the_key_sends_is_not_read(answering):
    app, taken = make_app(answering, Web("127.0.0.1", 0, None, (), KEY)), []

    async def receive() -> dict[str, object]:
        taken.append(True)
        return {"type": "http.request", "body": b"[" * 1_000, "more_body": True}

    async def refused(path: str) -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers}
        await app(scope | {"query_string": b"", "http_version": "1.1", "scheme": "http"}, receive, send)
        return int(sent[0]["status"])

    for path in ("/page/tags", "/page/judgements", "/page/map/rows", "/page/sounds"):
        assert asyncio.run(refused(path)) == 401
    assert taken == []


def test_with_a_token_hits_need_it_and_the_files_of_the_page_do_not(answering):
    client = client_of(answering, Web("0.0.0.0", 0, KEY, (), KEY), host="sounds.example")
    assert client.get("/page/").status_code == 200
    assert client.get("/hits?text=rain").status_code == 401
    assert client.get("/page/state", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


# Hits


def names(response) -> list[str]:
    assert response.status_code == 200, response.text
    return [hit["name"] for hit in response.json()["hits"]]


def test_hits_are_those_of_the_library(reader, still):
    dog, rain = still.digest("dog-barking.flac"), still.digest("weather/rain.flac")
    asked = {
        "text": "animal",
        "plus": ["0.5:dog barking"],
        "minus": "rain",
        "like": f"{dog}@0-2",
        "unlike": rain,
        "k": 4,
    }
    response = reader.get("/page/hits", params=asked)
    with pe_search.open(still.store) as library:
        hits = library.query(
            "animal",
            plus=pe_search.Term("dog barking", 0.5),
            minus="rain",
            like=pe_search.Reference(still.sounds / "dog-barking.flac", (0, 2)),
            unlike=still.sounds / "weather" / "rain.flac",
            k=4,
        )
    found = [(hit["path"], hit["start_s"], hit["probability"]) for hit in response.json()["hits"]]
    assert found == [(str(hit.path), hit.start_s, hit.probability) for hit in hits]
    assert len(found) == 4


def test_filters_and_words_are_those_of_the_command_line(reader):
    assert names(reader.get("/page/hits?text=dog&recorded=2024-06-12&hour=5")) == ["PAM_20240612_050000.wav"]
    assert names(reader.get("/page/hits?words=rain")) == ["rain.flac"]
    assert names(reader.get("/page/hits?text=rain&name=*.aiff")) == ["rooster.aiff"]
    for wrong, said in {
        "text=dog&hour=25": "hour: '25' must be an hour of the day or a range, such as 5, 4:30-7 or 22-4.",
        "": "There is nothing to look for: type a text or words, or add a sound.",
        "minus=rain": "There is nothing to look for: type a text or words, or add a sound.",
        "words=rain&all_windows=true": "minus, unlike and a probability need a text, plus or like beside words.",
        "text=@nothing": "@nothing was not taught to the store at",
        "text=dog&like=../etc": "like is missing or not valid.",
        "text=dog&path=/etc": "path is missing or not valid.",
        "text=dog&under=sounds": "under must be an absolute path of at most 4096 characters.",
        "text=dog&like=sound-0123456789abcdef": "The dropped sound is gone: the server was started again.",
        f"text=dog&like={'ab' * 32}": "The store does not hold this clip any more.",
    }.items():
        response = reader.get(f"/page/hits?{wrong}")
        assert response.status_code in (404, 422)
        assert response.json()["detail"].startswith(said), wrong


def test_number_order_and_fields_are_those_of_the_command_line(reader, still):
    fields = "path,length_s,codec,tags"
    with pe_search.open(still.store) as library:
        describer = library.describer(named(fields.split(","), HIT_FIELDS))
        hits = library.query("rain", k=4)
        expected = list(describer.rows(hits))
        every = [clip.path.name for clip in describer.sorted(library.clips(), CLIP_FIELDS["length_s"], reverse=True)]
    rows = reader.get(f"/page/hits?text=rain&k=4&fields={fields}").json()["hits"]
    assert [row["fields"] for row in rows] == expected
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    sorted_ = reader.get("/page/hits?text=rain&k=all&sort=length_s&reverse=true&fields=all").json()["hits"]
    assert sorted_[0]["name"] == every[0] == "PAM_20240612_050000.wav"
    assert sorted(row["name"] for row in sorted_) == sorted(every)
    assert list(sorted_[0]["fields"]) == all_of(HIT_FIELDS)
    lengths = [row["length_s"] for row in sorted_]
    assert lengths == sorted(lengths, reverse=True)
    with_time = names(reader.get("/page/hits?text=rain&k=all&sort=recorded_at"))
    assert with_time[0] == "PAM_20240612_050000.wav"
    assert with_time[1:] == [name for name in names(reader.get("/page/hits?text=rain&k=all")) if name != with_time[0]]
    for wrong, said in {
        "fields=path,nothing": "fields: 'nothing' is not a field; fields are query, rank, ",
        "fields=path,path": "fields: the field 'path' is named twice",
        "sort=size": "sort: 'size' is not a field;",
        "reverse=true": "reverse needs sort.",
        "k=10001": "k must be a whole number from 1 to 10000, or all.",
        "k=some": "k must be a whole number from 1 to 10000, or all.",
    }.items():
        response = reader.get(f"/page/hits?text=rain&{wrong}")
        assert (response.status_code, response.json()["detail"][: len(said)]) == (422, said), wrong


def test_all_windows_of_one_clip(reader, still):
    clip = still.digest("PAM_20240612_050000.wav")
    response = reader.get(f"/page/hits?text=dog+barking&clip={clip}&all_windows=true&k=1000")
    hits = response.json()["hits"]
    assert sorted(hit["start_s"] for hit in hits) == [0, 10, 20, 30, 40, 50, 58]
    assert hits[0]["start_s"] == 30
    assert hits[0]["at"] == "2024-06-12T05:00:30.000"


def test_a_dropped_sound_finds_what_is_like_it(reader):
    dropped = reader.post("/page/sounds", content=(SOUNDS / "church-bell.flac").read_bytes())
    assert dropped.json()["length_s"] == soundfile.info(SOUNDS / "church-bell.flac").duration
    assert names(reader.get("/page/hits", params={"like": dropped.json()["id"]}))[0] == "church-bell.flac"


def test_what_is_no_sound_is_refused_without_a_path(reader):
    for held in (b"", b"<html>", b"RIFF"):
        response = reader.post("/page/sounds", content=held)
        assert response.status_code == 422
        assert "/" not in response.json()["detail"]
        assert response.json()["detail"].startswith("The sound: ")
    assert reader.post("/page/sounds").json()["detail"] == "The sound: the file is empty"


# Sound


def test_a_file_that_browsers_play_comes_as_it_is_by_ranges(reader, still):
    digest = still.digest("dog-barking.flac")
    held = (still.sounds / "dog-barking.flac").read_bytes()
    whole = reader.get(f"/page/audio/{digest}?pass={PASS}")
    assert (whole.status_code, whole.content, whole.headers["content-type"]) == (200, held, "audio/flac")
    assert whole.headers["accept-ranges"] == "bytes"
    part = reader.get(f"/page/audio/{digest}?pass={PASS}", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, held[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(held)}"


def test_any_other_comes_as_wav_by_parts_and_ranges(reader, still):
    digest = still.digest("rooster.aiff")
    assert reader.get(f"/page/clips/{digest}").json()["is_playable"] is False
    assert reader.get(f"/page/audio/{digest}?pass={PASS}").status_code == 422
    whole = reader.get(f"/page/audio/{digest}?pass={PASS}&from=0.5&to=1.5")
    assert whole.headers["content-type"] == "audio/wav"
    samples, rate_hz = soundfile.read(io.BytesIO(whole.content), dtype="float32")
    expected, _ = soundfile.read(still.sounds / "rooster.aiff", dtype="float32")
    assert rate_hz == 48_000
    np.testing.assert_array_equal(samples, expected[24_000:72_000])
    for asked, start, stop in (
        ("0-9", 0, 10),
        ("96000-", 96_000, 96_044),
        ("-4", 96_040, 96_044),
        ("10-999999", 10, 96_044),
    ):
        part = reader.get(f"/page/audio/{digest}?pass={PASS}&from=0.5&to=1.5", headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, whole.content[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/96044"
    beyond = reader.get(f"/page/audio/{digest}?pass={PASS}&from=0.5&to=1.5", headers={"Range": "bytes=96044-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */96044")


def test_a_file_is_saved_under_its_name_and_a_window_as_flac(reader, still):
    digest = still.digest(HOSTILE)
    whole = reader.get(f"/page/file/{digest}?pass={PASS}")
    assert whole.content == (still.sounds / HOSTILE).read_bytes()
    assert whole.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D%27bad%27%3E.flac"
    )
    cut = reader.get(f"/page/file/{digest}?pass={PASS}&from=0.5&to=1")
    samples, rate_hz = soundfile.read(io.BytesIO(cut.content), dtype="int16")
    expected, _ = soundfile.read(still.sounds / HOSTILE, dtype="int16")
    np.testing.assert_array_equal(samples, expected[rate_hz // 2 : rate_hz])


def test_odd_ranges_get_all_or_nothing(reader, still):
    digest = still.digest("rooster.aiff")
    address = f"/page/audio/{digest}?pass={PASS}&from=0.5&to=1.5"
    whole = reader.get(address).content
    for odd in ("bytes=", "bytes=-", "bytes=a-b", "items=0-1", "bytes=0-0,2-2", "bytes= 0-1", f"bytes={'9' * 6_000}-"):
        response = reader.get(address, headers={"Range": odd})
        assert (response.status_code, response.content) == (200, whole), odd
    for none in ("bytes=-0", "bytes=5-1", f"bytes={'9' * 18}-"):
        response = reader.get(address, headers={"Range": none})
        assert (response.status_code, response.content) == (416, b""), none
    playable = still.digest("dog-barking.flac")
    for odd in ("bytes=5-1", f"bytes={'9' * 6_000}-", "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 20_000, 2))):
        assert reader.get(f"/page/audio/{playable}?pass={PASS}", headers={"Range": odd}).status_code in (200, 206, 400)


def test_a_name_that_is_not_utf_8_is_in_the_answer_and_in_the_refusal(client, scene, tmp_path):
    odd = tmp_path / os.fsdecode(b"odd \xff\n name.wav")
    shutil.copy(scene.sounds / "weather" / "rain.flac", odd)
    with odd.open("ab") as file:
        file.write(b"more")
    with pe_search.open(scene.store) as library:
        library.index(odd)
    (hit,) = [hit for hit in client.get("/page/hits?text=rain").json()["hits"] if hit["path"] == str(odd)]
    assert client.get(f"/page/peaks/{hit['digest']}").status_code == 200
    response = client.get(f"/page/peaks/{hit['digest']}?from=1000")
    assert response.status_code == 422
    assert response.json() == {"detail": f"There is nothing from 1000 s to {hit['length_s']:g} s in {odd}."}
    odd.unlink()
    response = client.get(f"/page/file/{hit['digest']}?pass={PASS}")
    assert (response.status_code, response.json()) == (409, {"detail": f"{odd}: No such file or directory"})
    gone = [one["path"] for one in client.get("/page/hits?text=rain").json()["hits"] if one["is_gone"]]
    assert gone == [str(odd)]


def test_a_picture_of_a_day_is_refused(client, scene, monkeypatch):
    digest = scene.digest("PAM_20240612_050000.wav")
    monkeypatch.setattr(listening, "_LONGEST_WAVE_S", 60)
    assert client.get(f"/page/peaks/{digest}?from=7").status_code == 200
    for asked in ("", "?from=5", "?from=0&to=1000"):
        response = client.get(f"/page/peaks/{digest}{asked}")
        assert response.status_code == 422
        assert response.json()["detail"].startswith("from and to must be a part of at most ")


def test_a_name_that_is_no_file_is_refused(client, scene):
    with pe_search.open(scene.store) as library:
        library.add("<b>row</b> 1", np.zeros(48_000, np.float32), 48_000)
    (hit,) = [hit for hit in client.get("/page/hits?text=rain").json()["hits"] if hit["path"] == "<b>row</b> 1"]
    for asked in (f"peaks/{hit['digest']}", f"audio/{hit['digest']}?pass={PASS}", f"file/{hit['digest']}?pass={PASS}"):
        assert client.get(f"/page/{asked}").status_code == 409


def test_a_store_that_goes_and_comes_again(client, scene, tmp_path):
    assert len(names(client.get("/page/hits?text=rain"))) == 6
    scene.store.rename(tmp_path / "away")
    response = client.get("/page/hits?text=rain")
    assert (response.status_code, str(scene.store) in response.json()["detail"]) == (500, True)
    assert client.get("/page/state").status_code == 500
    with pe_search.create(scene.store) as library:
        library.index(scene.sounds / "weather")
    assert names(client.get("/page/hits?text=rain")) == ["rain.flac"]
    assert client.get("/page/state").json()["clips"] == 1


def test_many_at_once_are_answered_or_sent_away(client, scene, answering):
    digest, go_on = scene.digest("dog-barking.flac"), threading.Event()
    busy = [answering.work(lambda _library: go_on.wait(60)) for _ in range(MOST_REQUESTS)]
    response = client.get(f"/page/peaks/{digest}")
    assert (response.status_code, response.json()["detail"]) == (503, "There are too many requests at once; try again.")
    go_on.set()
    for one in busy:
        one.result(60)
    with ThreadPoolExecutor(8) as pool:
        pictures = list(pool.map(lambda _: client.get(f"/page/peaks/{digest}").content, range(24)))
    assert pictures == [pictures[0]] * 24


def test_a_file_that_has_changed_is_not_played(client, scene, tmp_path):
    copy = tmp_path / "copied.flac"
    copy.write_bytes((scene.sounds / "weather" / "rain.flac").read_bytes() + b"more")
    with pe_search.open(scene.store) as library:
        library.index(copy)
    digest = next(
        hit["digest"] for hit in client.get("/page/hits?text=rain").json()["hits"] if hit["name"] == copy.name
    )
    assert client.get(f"/page/audio/{digest}?pass={PASS}").status_code == 200
    copy.unlink()
    copy.symlink_to("/etc/passwd")
    response = client.get(f"/page/audio/{digest}?pass={PASS}")
    assert response.status_code == 409
    assert response.json()["detail"] == f"{copy}: has changed since it was indexed; index it again"
    for part in ("", "&from=0&to=1"):
        assert client.get(f"/page/file/{digest}?pass={PASS}{part}").json() == response.json()


def test_a_quiet_part_comes_with_its_gain(client, scene, tmp_path):
    samples, rate_hz = soundfile.read(SOUNDS / "dog-barking.flac", dtype="float32")
    quiet = tmp_path / "quiet.wav"
    soundfile.write(quiet, samples / 100, rate_hz, subtype="PCM_24")
    with pe_search.open(scene.store) as library:
        library.index(quiet)
        expected = library.gain_db(quiet, 0, 2)
        digest = library.known(quiet)[quiet].digest.hex()
    assert expected > 20
    assert client.get(f"/page/gain/{digest}?from=0&to=2").json() == {"gain_db": expected}
    assert client.get(f"/page/gain/{digest}?from=2&to=1").status_code == 422
    assert client.get(f"/page/clips/{digest}").json()["level"] == "auto"


# Pictures


def test_pictures_are_those_of_the_library(reader, still):
    digest, path = still.digest("dog-barking.flac"), still.sounds / "dog-barking.flac"
    with pe_search.open(still.store) as library:
        peaks = library.peaks(path, start_s=0.5, end_s=2, columns=100)
        picture = library.spectrogram(path, columns=50)
    assert reader.get(f"/page/peaks/{digest}?from=0.5&to=2&columns=100").content == peaks.tobytes()
    assert reader.get(f"/page/spectrogram/{digest}?columns=50").content == picture.tobytes()
    for wrong in ("from=4", "from=2&to=1", "columns=4001", "columns=0", "from=nan"):
        assert reader.get(f"/page/peaks/{digest}?{wrong}").status_code == 422


# What is said


def test_what_is_said_is_found_and_given_for_a_clip(client, talk, scene):
    (hit,) = client.get("/page/hits?said=tuesday").json()["hits"]
    assert (hit["path"], hit["start_s"], hit["end_s"], hit["said_rank"]) == (str(talk), 6.0, 11.0, 1)
    assert hit["said"] == "See you at the Tuesday meeting."
    assert [hit["said"][first:after] for first, after in hit["said_marks"]] == ["Tuesday"]
    fused = client.get("/page/hits?text=noise&said=tuesday&k=1").json()["hits"]
    assert [(one["path"], one["said_rank"]) for one in fused] == [(str(talk), 1)]
    german, plain = sorted(
        client.get(f"/page/said/{hit['digest']}").json()["transcripts"], key=lambda one: one["language"], reverse=True
    )
    assert (german["engine"], german["language"], plain["engine"]) == ("sidecar.de", "de", "sidecar")
    assert (german["until_s"], plain["until_s"]) == (None, None)
    assert [(one["start_s"], one["end_s"], one["words"]) for one in plain["segments"]] == [(1, 6, []), (6, 11, [])]
    (segment,) = german["segments"]
    assert [(start_s, end_s, word.strip()) for start_s, end_s, word in segment["words"]] == [
        (1, 6, "Guten"),
        (6, 11, "Morgen."),
    ]
    digest = scene.digest("dog-barking.flac")
    assert client.get(f"/page/said/{digest}").json() == {"transcripts": []}
    assert client.get(f"/page/said/{digest}", headers={"Authorization": ""}).status_code == 401
    assert client.get(f"/page/said/{'0' * 64}").status_code == 404


def test_what_is_said_has_no_probability(client, talk):
    assert names(client.get("/page/hits?said=tuesday&all_windows=true")) == ["talk.wav"]
    for wrong, said in {
        "said=tuesday&min_probability=0.5": "minus, unlike and a probability need a text",
        "said=-tuesday": "said must have a word to look for",
        "said=tuesday&words=talk": "said can't be used with words.",
        "text=noise&said=tuesday&all_windows=true": "said can't be used with a sound and all windows",
    }.items():
        response = client.get(f"/page/hits?{wrong}")
        assert (response.status_code, response.json()["detail"][: len(said)]) == (422, said), wrong


# Writing


def test_tags_are_put_and_taken(client, scene):
    digest = scene.digest("dog-barking.flac")
    response = client.post("/page/tags", json={"clips": [digest], "add": ["good", "loud"]})
    assert response.json() == {"clips": {digest: ["good", "loud"]}, "tags": {"good": 1, "loud": 1}}
    response = client.post("/page/tags", json={"clips": [digest], "remove": ["loud"]})
    assert response.json()["clips"] == {digest: ["good"]}
    assert names(client.get("/page/hits?text=dog&tag=good")) == ["dog-barking.flac"]
    refused = client.post("/page/tags", json={"clips": [digest], "add": ["a,b"]})
    assert refused.status_code == 422


def test_what_is_wrong_with_a_tag_is_said(client, scene):
    digest = scene.digest("weather/rain.flac")
    response = client.post("/page/tags", json={"clips": [digest], "add": ["x" * 101]})
    assert (response.status_code, response.json()["detail"]) == (422, "add is missing or not valid.")


def test_while_another_writes_the_page_says_so(client, scene):
    with pe_search.open(scene.store) as library, library._writer():
        response = client.post("/page/tags", json={"clips": [scene.digest("dog-barking.flac")], "add": ["good"]})
    assert response.status_code == 409
    assert "Another process" in response.json()["detail"]


def test_what_is_judged_is_kept_and_shown(client, scene):
    digest = scene.digest("dog-barking.flac")
    given = {"word": "@rex", "clip": digest, "start_s": 0.0, "end_s": 3.0, "verdict": "yes", "text": "dog barking"}
    word = client.post("/page/judgements", json=given).json()["word"]
    assert (word["text"], word["yes"], word["no"], word["unsure"]) == ("dog barking", 1, 0, 0)
    word = client.post("/page/judgements", json=given | {"verdict": "no", "text": "other"}).json()["word"]
    assert (word["text"], word["yes"], word["no"]) == ("dog barking", 0, 1)
    assert client.get("/page/judgements?word=@rex").json() == {
        "judgements": [{"clip": digest, "start_s": 0.0, "end_s": 3.0, "verdict": "no"}]
    }
    assert [one["word"] for one in client.get("/page/words").json()["words"]] == ["@rex"]
    for wrong in ({"verdict": "maybe"}, {"word": "rex"}, {"clip": "../x"}, {"start_s": -1}):
        assert client.post("/page/judgements", json=given | wrong).status_code == 422
