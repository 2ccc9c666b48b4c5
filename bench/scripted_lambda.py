"""A Lambda that costs a client nothing but its own work: it takes every invocation and answers after a fixed time.

    python scripted_lambda.py PORT ANSWER_S HOLD_S

The attempts of an order, those included that a worker would send on, are in flight for ``HOLD_S`` seconds from its
answer on; then they are carried out here, one after the other in a few threads, with the code that workers run. With
``HOLD_S`` below zero they are only counted. ``GET /figures`` tells what was seen. Decides nothing that is measured;
it speaks as much of the protocol as boto3 needs.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import wrens
from wrens.backends.aws_lambda import orders
from wrens.backends.inline import InlineBackend
from wrens.wire.records import Invocation

MAY = 10_000
"""The concurrency of this account."""
THREADS = 4


class Service:
    """What is in flight, and what was seen.

    Args:
        answer_s: How long a client waits for an answer, in seconds.
        hold_s: How long an attempt is in flight before it is carried out.
    """

    def __init__(self, answer_s: float, hold_s: float) -> None:
        self.answer_s, self.hold_s = answer_s, hold_s
        self.requests = self.attempts = self.in_flight = self.peak = 0
        self._pool = ThreadPoolExecutor(THREADS)

    async def take(self, body: bytes) -> None:
        """Take an order."""
        invocations = orders.decode(json.loads(body)).invocations
        await asyncio.sleep(self.answer_s)
        self.requests += 1
        self.attempts += len(invocations)
        self.in_flight += len(invocations)
        self.peak = max(self.peak, self.in_flight)
        if self.hold_s >= 0:
            loop = asyncio.get_running_loop()
            for one in invocations:
                loop.call_later(self.hold_s, self._carry_out, loop, one)

    def _carry_out(self, loop: asyncio.AbstractEventLoop, invocation: Invocation) -> None:
        done = loop.run_in_executor(self._pool, _run, invocation)
        done.add_done_callback(self._done)

    def _done(self, _: asyncio.Future[None]) -> None:
        self.in_flight -= 1

    def figures(self) -> dict[str, int]:
        """Return what was seen so far."""
        return {"requests": self.requests, "attempts": self.attempts, "peak": self.peak}

    async def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Answer one request."""
        if target.endswith("/invocations"):
            await self.take(body)
            return 202, {}
        if target.endswith("/account-settings"):
            return 200, {"AccountLimit": {"UnreservedConcurrentExecutions": MAY}}
        if target.endswith("/concurrency"):
            return 200, {}
        if target == "/figures":
            return 200, self.figures()
        return 200, _configuration() if method == "GET" else {"events": []}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while line := await reader.readline():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode("latin-1").partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                status, told = await self.answer(method, target, await reader.readexactly(length))
                said = b"" if status == 202 else json.dumps(told).encode()
                head = f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n"
                writer.write(head.encode() + said)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def _run(invocation: Invocation) -> None:
    backend = InlineBackend()
    backend.launch([invocation])
    backend.poll(0)


def _configuration() -> dict[str, Any]:
    python = ".".join(platform.python_version_tuple()[:2])
    variables = {"WRENS_VERSION": wrens.__version__, "WRENS_PYTHON": python}
    return {
        "MemorySize": 512,
        "Timeout": 900,
        "Runtime": f"python{python}",
        "State": "Active",
        "Environment": {"Variables": variables},
    }


async def main(port: int, answer_s: float, hold_s: float) -> None:
    """Serve until the process is ended."""
    service = Service(answer_s, hold_s)
    server = await asyncio.start_server(service.serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
