"""One writer at a time, on any machine: a row in Milvus that its holder renews, and that ends by itself.

Milvus can't compare and set. So whoever wants to write inserts a row of their own, and then looks whether there is
another: of two who come at once, at least one sees the other, and steps back. The clocks of the machines must agree to
within some seconds.
"""

from __future__ import annotations

import json
import os
import platform
import random
import threading
import time
import uuid
from contextlib import suppress

from pe_search.errors import StoreBusyError, StoreError
from pe_search.store.milvus.client import Server
from pe_search.store.milvus.connection import CALL_S

# How long a lease is held without being renewed, and how much of that a holder doesn't count on: a call that has begun
# may take effect so much later.
LEASE_S = 60.0
_RESERVE_S = 2 * CALL_S
_LEASES = -2
_TRIES = 4


class Lease:
    """The right to write to a store.

    Args:
        server: Where the store is.
        mirror: What tells the folder in which this machine keeps the catalog, which one process at a time writes to.
    """

    def __init__(self, server: Server, mirror: str) -> None:
        self._server = server
        self._mirror = mirror
        self._key = f"lease-{uuid.uuid4().hex}"
        self._until_s = 0.0
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def acquire(self) -> None:
        """Take the lease.

        Raises:
            StoreBusyError: If another process has it.
            StoreError: If Milvus doesn't answer.
        """
        for _ in range(_TRIES):
            self._put()
            others = self._others()
            if not others:
                break
            self._server.delete_bodies([self._key])
            # Another that has just come looks at this one, and may have stepped back too.
            time.sleep(random.uniform(0.05, 0.5))
        else:
            raise StoreBusyError(
                f"Another process ({others[0]}) is writing to the store at {self._server.place.address}; wait until it "
                f"has finished, or stop it. If it was killed, its right to write ends within {LEASE_S:g} s."
            )
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, daemon=True)
            self._renewing.start()

    def check(self) -> None:
        """Be sure that the lease is held, and will be for a while.

        Raises:
            StoreBusyError: If it ended, and another process has it.
        """
        if time.monotonic() > self._until_s - _RESERVE_S:
            self.acquire()

    def release(self) -> None:
        """Let go of the lease."""
        self._ended.set()
        if self._renewing is not None:
            self._renewing.join()
        with suppress(StoreError):
            # It ends by itself.
            self._server.delete_bodies([self._key], patience_s=CALL_S)

    def _put(self, patience_s: float | None = None) -> None:
        begun_s = time.monotonic()
        who = f"id {os.getpid()} on {platform.node()}"
        body = {"mirror": self._mirror, "who": who, "until_s": time.time() + LEASE_S}
        self._server.put_bodies([(self._key, _LEASES, 0, json.dumps(body))], patience_s=patience_s)
        self._until_s = begun_s + LEASE_S

    def _others(self) -> list[str]:
        """Who else has a lease; what is left of those who have none any more is deleted."""
        others: list[str] = []
        ended: list[str] = []
        for *_, key, body in self._server.bodies(f"change == {_LEASES}"):
            try:
                one = json.loads(body)
                # Nobody else holds the lock of this mirror, so whoever had it was killed.
                is_over = one["mirror"] == self._mirror or float(one["until_s"]) < time.time()
                who = str(one["who"])
            except (ValueError, KeyError, TypeError):
                is_over, who = True, ""
            if key != self._key:
                (ended if is_over else others).append(key if is_over else who)
        self._server.delete_bodies(ended)
        return others

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_S / 4):
            # Not one that has ended: another may have come since, and `check` looks for it.
            if time.monotonic() < self._until_s - _RESERVE_S:
                with suppress(StoreError):
                    self._put(CALL_S)
