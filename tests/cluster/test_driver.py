"""The process between a run and Ray: what it says, and that it never outlives or holds up the run."""

from __future__ import annotations

import os
import pickle
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from pe_search.cluster import driver, runtime
from pe_search.cluster.actor import Actor
from pe_search.cluster.driver import connected
from pe_search.cluster.runtime import Share, TokenError, _reason
from pe_search.errors import ClusterError, StoreError

SHARE = Share(2, 1, 0, 0, is_own=False)
HEAD = (
    "import os, pickle, signal, sys; from pe_search.cluster.runtime import Share; asked = pickle.load(sys.stdin.buffer)"
)
GIVE_SHARE = "pickle.dump(Share(2, 1, 0, 0, is_own=False), sys.stdout.buffer); sys.stdout.flush()"


@pytest.fixture
def driving(monkeypatch):
    """Puts a program in the place of the driver's; gives the processes that are started."""
    processes: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            processes.append(self)

    def drive(*lines: str):
        monkeypatch.setattr(driver, "_program", lambda: [sys.executable, "-c", "\n".join(lines)])
        monkeypatch.setattr(driver.subprocess, "Popen", Noted)
        monkeypatch.setattr(driver, "need_ray", lambda: None)
        return processes

    return drive


def connect(workers: str = "head:6379"):
    return connected(workers, worker_cpus=None, weights_bytes=0)


def test_results_come_as_they_are_sent_and_the_process_is_gone_afterwards(driving):
    processes = driving(
        HEAD,
        "assert asked == ('head:6379', None, 0)",
        GIVE_SHARE,
        "setup, blocks = pickle.load(sys.stdin.buffer)",
        "from pe_search.cluster.blocks import BlockResult",
        "for number, block in enumerate(blocks):",
        "    result = BlockResult(number, 'there', clips=pickle.loads(block))",
        "    pickle.dump(pickle.dumps(result), sys.stdout.buffer)",
        "pickle.dump(None, sys.stdout.buffer)",
    )
    with connect() as there:
        assert there.share == SHARE
        results = [*there.results("a setup", [["a", "b"], ["c"]])]
    assert [(one.block, one.machine, one.clips) for one in results] == [(0, "there", ["a", "b"]), (1, "there", ["c"])]
    assert processes[0].returncode == 0


STRANGER = "no cluster that this machine belongs to answers there as Ray"


@pytest.mark.parametrize(
    ("workers", "lines", "message"),
    [
        ("head:6379", ["os._exit(1)"], f"head:6379: {STRANGER}"),
        ("head:6379", ["os.kill(os.getpid(), signal.SIGKILL)"], f"head:6379: {STRANGER}"),
        ("ray", ["os._exit(1)"], "ray: Ray ends before it has started."),
        ("head:6379", [GIVE_SHARE], "head:6379: the Ray cluster is gone. What is embedded is kept"),
        ("ray", [GIVE_SHARE], "ray: Ray has ended. What is embedded is kept"),
    ],
)
def test_a_process_that_ends_without_a_word_is_one_line(driving, workers, lines, message):
    driving(HEAD, *lines)
    with pytest.raises(ClusterError) as caught, connect(workers) as there:
        list(there.results("a setup", []))
    assert str(caught.value).startswith(message)


def test_an_error_of_the_driver_is_one_of_the_run(driving):
    driving(
        HEAD,
        "from pe_search.errors import StoreError",
        "pickle.dump(StoreError('there is no room'), sys.stdout.buffer)",
    )
    with pytest.raises(StoreError, match="there is no room"), connect():
        pass


def test_a_machine_that_can_have_no_worker_is_one_line(driving):
    driving(HEAD, GIVE_SHARE, "pickle.dump(pickle.dumps('there: no disk'), sys.stdout.buffer)", "sys.stdin.read()")
    with pytest.raises(ClusterError, match="there: no disk"), connect() as there:
        list(there.results("a setup", []))


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
@pytest.mark.parametrize("lines", [[], [GIVE_SHARE]], ids=["joining", "working"])
def test_ctrl_c_is_heard_while_ray_is_waited_for(driving, monkeypatch, lines):
    monkeypatch.setattr(driver, "_END_S", 0.0)
    processes = driving(HEAD, *lines, "os.kill(os.getppid(), signal.SIGINT)", "signal.pause()")
    with pytest.raises(KeyboardInterrupt), connect() as there:
        list(there.results("a setup", []))
    assert processes[0].returncode == -9


def run_main(*lines: str, asked: bytes, stay: bool = False) -> tuple[int, bytes]:
    """The driver's own program with another Ray: its exit status, and what it answers."""
    program = ["import os, sys, threading, types", "from pe_search.cluster import driver, runtime", *lines]
    program.append("driver.main(sys.stdin.buffer, os._exit)")
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write(asked)
        process.stdin.flush()
        answer = process.communicate()[0] if not stay else process.stdout.read()
        return process.wait(), answer


FOR_EVER = "threading.Event().wait()"


def test_the_driver_ends_when_the_run_is_gone():
    status, answer = run_main(f"runtime.join = lambda workers: {FOR_EVER}", asked=pickle.dumps(("head:6379", None, 0)))
    assert (status, answer) == (1, b"")


def test_a_ray_that_waits_for_ever_is_given_up_and_one_that_holds_the_lock_too():
    # An address where somebody listens who says nothing.
    lines = [
        "import socket; there = socket.create_server(('127.0.0.1', 0)); port = there.getsockname()[1]",
        "import ctypes; hang = lambda **_: ctypes.PyDLL(None).pause()",
        "runtime._runs_here = lambda: True",
        "sys.modules['ray'] = types.SimpleNamespace(init=hang)",
        "runtime.PATIENCE_S = 0.2; join = runtime.join; runtime.join = lambda _: join(f'127.0.0.1:{port}')",
    ]
    status, answer = run_main(*lines, asked=pickle.dumps(("head:6379", None, 0)), stay=True)
    assert (status, answer) == (1, b"")


def test_what_ray_prints_is_not_taken_for_an_answer():
    lines = [
        "import os; runtime.join = lambda _: os.write(1, b'ray says')",
        "runtime.share_of = lambda *_, **__: runtime.Share(2, 1, 0, 0, is_own=False)",
        "runtime.embedded = lambda *_: (print('more'), iter(()))[1]",
        "driver.closing = driver.suppress",
    ]
    asked = pickle.dumps(("ray", None, 0)) + pickle.dumps((b"", []))
    status, answer = run_main(*lines, asked=asked, stay=True)
    assert status in (0, 1)
    assert b"says" not in answer and pickle.loads(answer) == SHARE


NO_NODE = "No node info found matching attributes: '' when trying to resolve node to connect to."
TOKEN = "Failed to connect to GCS. Last connection error: Traceback\n  Unauthenticated: RPC error: InvalidAuthToken: no"
VERSIONS = (
    "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.2\n"
    "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.12.1\n"
)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            ["Failed to connect", NO_NODE],
            "no Ray of this cluster runs on this machine. Run `ray start --address=head:1`",
        ),
        (
            ["Failed to connect", TOKEN],
            "the cluster asks for a token, and this machine has none. Copy ~/.ray",
        ),
        (
            [VERSIONS],
            "the cluster has Ray 2.50.0 and Python 3.11.2, this machine Ray 2.60.0 and Python 3.12.1.",
        ),
        (["Failed to connect", "the disk\nis full"], "no Ray runtime can be joined: the disk"),
    ],
)
def test_what_keeps_ray_from_joining_is_one_line(own_home, said, reason):
    kind, told = _reason("head:1", said)
    assert (kind is TokenError) == ("token" in told)
    assert told.startswith(reason) and "\n" not in told


def test_a_runtime_of_our_own_writes_no_token_into_the_home(own_home, monkeypatch):
    own = driver._environment("ray")
    assert own["RAY_AUTH_MODE"] == "token" and len(own["RAY_AUTH_TOKEN"]) == 64
    write_token(own_home)
    own = driver._environment("ray")
    assert own["RAY_AUTH_MODE"] == "token" and "RAY_AUTH_TOKEN" not in own
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert driver._environment("ray")["RAY_AUTH_MODE"] == "disabled"
    assert "RAY_AUTH_TOKEN" not in os.environ


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_token(home):
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("secret")


ASK_FOR_TOKEN = (
    "from pe_search.cluster.runtime import TokenError\n"
    "if os.environ.get('RAY_AUTH_MODE') != 'token': pickle.dump(TokenError('no token'), sys.stdout.buffer); sys.exit()"
)


def test_a_token_is_shown_only_to_a_cluster_that_asks_for_one(driving, own_home, monkeypatch):
    processes = driving(HEAD, ASK_FOR_TOKEN, GIVE_SHARE)
    with pytest.raises(ClusterError, match="no token"), connect():
        pass
    assert len(processes) == 1
    write_token(own_home)
    with connect() as there:
        assert there.share == SHARE
    assert len(processes) == 3
    # Whoever says that there is none has none.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(ClusterError, match="no token"), connect():
        pass
    assert len(processes) == 4


@pytest.mark.parametrize(("is_initialized", "is_in_use"), [(True, True), (False, False)])
def test_a_runtime_that_the_program_has_is_used(monkeypatch, is_initialized, is_in_use):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: is_initialized))
    monkeypatch.delitem(sys.modules, "ray.util.client", raising=False)
    assert runtime.is_in_use() == is_in_use


def test_ray_client_is_refused(monkeypatch):
    client = SimpleNamespace(ray=SimpleNamespace(is_connected=lambda: True))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    monkeypatch.setitem(sys.modules, "ray.util.client", client)
    with pytest.raises(ClusterError, match="Ray Client"):
        runtime.is_in_use()


ROWS = {"block": [0, 1], "clips": [b"", b""]}


def refusals(actor: Actor) -> list[str]:
    return [pickle.loads(one) for one in actor(ROWS)["result"]]


def test_a_machine_with_another_version_says_so():
    from pe_search import __version__

    line = f"{platform.node()}: there is pe-search {__version__}. Install pe-search 99.0 there."
    assert refusals(Actor("99.0", b"")) == [line] * 2


def test_a_machine_without_pe_search_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pe_search", None)
    for line in refusals(Actor("99.0", b"")):
        assert line.startswith(f"{platform.node()}: pe-search can't be imported (")
        assert line.endswith("). Install pe-search 99.0 there.")


def test_an_actor_goes_to_its_machine_as_a_whole():
    cloudpickle = pytest.importorskip("ray.cloudpickle", reason="Ray is not installed")
    from pe_search.cluster import actor

    cloudpickle.register_pickle_by_value(actor)
    try:
        sent = cloudpickle.dumps(Actor)
    finally:
        cloudpickle.unregister_pickle_by_value(actor)
    program = (
        "import sys; sys.modules['pe_search'] = None; import pickle; Actor = pickle.loads(sys.stdin.buffer.read());"
        "print(pickle.loads(Actor('1', b'')({'block': [0], 'clips': [b'']})['result'][0]))"
    )
    # Its machine has Ray, whose pickle makes it.
    done = subprocess.run(
        [sys.executable, "-c", f"import ray.cloudpickle; {program}"], input=sent, capture_output=True, check=True
    )
    assert b"pe-search can't be imported" in done.stdout
