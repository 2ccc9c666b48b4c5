"""CPython's tests of futures, ``wait`` and ``as_completed``, applied to wrens's."""

from __future__ import annotations

import logging
from concurrent import futures
from unittest import mock

import pytest
from adapted import WrensFutureMixin, WrensMixin, applied, piece

# CPython's tests are held to CPython's settings: they leave sockets and files to the collector.
pytestmark = pytest.mark.filterwarnings("default")


@applied
class TestWait(WrensFutureMixin, WrensMixin, piece("WaitTests"), piece("BaseTestCase")):
    def test_many_that_end_at_once(self) -> None:
        # What ThreadPoolWaitTests.test_pending_calls_race asks of threads, for processes.
        waited_for = {self.executor.submit(int) for _ in range(100)}
        done, not_done = futures.wait(waited_for, return_when=futures.ALL_COMPLETED)
        assert done == waited_for
        assert not_done == set()


@applied
class TestAsCompleted(WrensFutureMixin, WrensMixin, piece("AsCompletedTests"), piece("BaseTestCase")):
    pass


@applied
class TestFuture(WrensFutureMixin, piece("FutureTests")):
    def setUp(self) -> None:
        super().setUp()
        # pytest listens at the root logger; the tests expect what is logged where nobody listens: on stderr.
        patch = mock.patch.object(logging.getLogger("concurrent.futures"), "propagate", False)
        patch.start()
        self.addCleanup(patch.stop)
