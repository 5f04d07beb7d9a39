"""Where a server listens."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from pe_search.errors import PeSearchError
from pe_search.serving.place import is_private, is_same_user, make_private_folder, socket_path


def test_a_store_has_one_socket_whatever_leads_to_it(tmp_path, monkeypatch):
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "link").symlink_to(store)
    monkeypatch.chdir(store)
    path = socket_path(tmp_path, store)
    assert path.parent == tmp_path
    for same in (tmp_path / "link", store / "..", tmp_path / "x" / ".." / "store"):
        assert (socket_path(tmp_path, same) == path) is (os.path.realpath(same) == str(store))
    assert socket_path(tmp_path, tmp_path / "other") != path
    assert socket_path(tmp_path / "elsewhere", store).name == path.name


def test_a_store_whose_name_is_not_utf_8_has_one_too(tmp_path):
    assert socket_path(tmp_path, tmp_path / "\udcff") != socket_path(tmp_path, tmp_path / "\udcfe")


def test_the_folder_is_made_for_the_user_alone(private):
    folder = private / "a" / "b"
    make_private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert is_private(folder)
    make_private_folder(folder)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701, 0o777])
def test_one_that_others_may_enter_is_refused(private, mode):
    private.chmod(mode)
    assert not is_private(private)
    with pytest.raises(PeSearchError, match=f"^{private} is open to other users; `chmod 700` it"):
        make_private_folder(private)


def test_so_is_one_of_another_user(private, monkeypatch):
    private.chmod(0o700)
    assert is_private(private)
    monkeypatch.setattr(os, "geteuid", lambda: private.stat().st_uid + 1)
    assert not is_private(private)


def test_what_is_missing_or_no_folder_is_not_private(private):
    (private / "file").touch(0o600)
    assert not is_private(private / "file")
    assert not is_private(private / "missing")


def test_a_path_that_no_socket_can_have_is_refused_before_anything_is_made(private):
    folder = private / ("x" * 100)
    with pytest.raises(PeSearchError, match=r"too long a path for a socket; set XDG_RUNTIME_DIR to a shorter one\.$"):
        make_private_folder(folder)
    assert not folder.exists()


def test_the_longest_path_that_is_taken_can_be_bound(private):
    room = 103 - len(os.fsencode(socket_path(private / "x", private)))
    folder = private / ("x" * (room + 1))
    make_private_folder(folder)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(socket_path(folder, private)))
    with pytest.raises(PeSearchError, match="too long"):
        make_private_folder(private / ("x" * (room + 2)))


def test_the_other_end_must_be_the_same_user(monkeypatch):
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert is_same_user(one)
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert is_same_user(one) is not hasattr(socket, "SO_PEERCRED")
