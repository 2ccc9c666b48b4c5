"""Pushes and pulls of 1,000 scattered numbers by a parameter server, beside what the same server can take.

The raw limit is Redis's own load generator, ``redis-benchmark``, which sends the same calls with the same bytes, 16 at a time, and
does nothing with the answers. Beside it stands ``SET`` and ``GET`` of as many bytes, which is what the server does without adding
anything. wrens makes the bytes of each push from arrays, checks them, and makes arrays of what it pulls. A server and a client each
have a processor; sums are checked at the end.

    python bench/parameter_server.py [--quick]           needs Debian's redis-server and redis-tools
"""

from __future__ import annotations

import subprocess
from time import perf_counter

import numpy as np
from harness import Bar, Bench, Entrant, Metric, Reading, main
from redis_server import redis_server

NUMBERS, ROWS, TOGETHER = 1000, 100_000, 16


def measure(system: str, how: str, together: int, count: int) -> list[Reading]:
    from wrens import kv
    from wrens.models import parameter_server as ps

    assert system == "wrens"
    chance = np.random.default_rng(1)
    every = np.unique(without_zeros(chance.integers(2**32, size=2 * ROWS, dtype=np.uint32)))[:ROWS]
    normal = without_zeros(chance.normal(size=2 * ROWS))
    rows, values = chance.choice(every, NUMBERS, replace=False), chance.choice(normal, NUMBERS)
    with redis_server() as port, kv.connect(f"redis://127.0.0.1:{port}") as tier:
        params = ps.create(tier, {"w": ps.Sparse()}, name="w")
        params.push("w", 0.0, every)
        if how != "wrens":
            return [raw(port, params, how, count, rows, values)]
        updates, selections = [("w", values, rows)] * together, [("w", rows)] * together
        found: Reading = {}
        for name, call in (
            ("pushes", lambda: params.push_many(updates)),
            ("pulls", lambda: params.pull_many(selections)),
        ):
            call()
            began = perf_counter()
            for _ in range(count // together):
                call()
            found[name] = count / (perf_counter() - began)
        expected = np.zeros(ROWS)
        expected[np.searchsorted(every, rows)] = values * (count + together)
        assert np.allclose(params.pull("w", every), expected, rtol=1e-9)
        return [found]


def without_zeros(numbers: np.ndarray) -> np.ndarray:
    """Return the numbers of which no byte is zero."""
    return numbers[numbers.view(np.uint8).reshape(len(numbers), -1).all(axis=1)]


def raw(port: int, params: object, how: str, count: int, rows: np.ndarray, values: np.ndarray) -> Reading:
    """Let Redis's load generator send the calls that wrens would send."""
    from wrens.models.parameter_server import ParameterServer, library
    from wrens.models.parameter_server.arrays import Selection

    assert isinstance(params, ParameterServer)
    selection = Selection("w", params.arrays["w"], rows, 1)
    ((_, push),) = selection.updates(values)
    ((_, pull),) = selection.requests()
    shards = params._shards
    model = shards.name, shards.tokens[0].decode()
    call = "FCALL", library.text()[0], "0"
    commands = {
        # A push is carried out once for each client, so each is another one's.
        "functions": (
            (*call, "add", *model, "__rand_int__", "1", "0", *push),
            (*call, "take", *model, *pull),
        ),
        "strings": (("SET", "x", push[-1]), ("GET", "x")),
    }[how]
    return {
        name: _benchmark(port, list(map(_word, command[:-1])), _bytes(command[-1]), count)
        for name, command in zip(("pushes", "pulls"), commands, strict=True)
    }


def _benchmark(port: int, words: list[str], last: bytes, count: int) -> float:
    options = [
        "-p",
        str(port),
        "-c",
        "1",
        "-P",
        str(TOGETHER),
        "-n",
        str(count),
        "-r",
        "1000000000",
        "--csv",
        "-x",
    ]
    done = subprocess.run(
        ["redis-benchmark", *options, *words], input=last, capture_output=True, check=True, timeout=300
    )
    return _rate(done.stdout.decode())


def _rate(told: str) -> float:
    """Return the requests per second of the generator's last line."""
    return float(told.strip().splitlines()[-1].split('","')[1].strip('"'))


def _word(word: object) -> str:
    return str(word)


def _bytes(word: object) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def entrants(quick: bool) -> list[Entrant]:
    count = 640 if quick else 16_000
    return [
        Entrant("wrens", "wrens", {"how": "wrens", "together": TOGETHER, "count": count}, "16 at a time"),
        Entrant(
            "wrens, one by one",
            "wrens",
            {"how": "wrens", "together": 1, "count": count // 4},
            "a round trip each",
        ),
        Entrant(
            "redis-benchmark",
            "wrens",
            {"how": "functions", "together": 1, "count": count},
            "the same calls, 16 at a time",
        ),
        Entrant(
            "redis-benchmark, SET and GET",
            "wrens",
            {"how": "strings", "together": 1, "count": count},
            "as many bytes, nothing is added",
        ),
    ]


BENCH = Bench(
    what="pushes and pulls of 1,000 scattered numbers of float64",
    metrics=[Metric("pushes", "pushes/s"), Metric("pulls", "pulls/s")],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar(
            "≥ 60 % of the pushes that the server can take",
            lambda m: 100 * m["wrens"]["pushes"] / m["redis-benchmark"]["pushes"],
            60,
            show="{:.0f} %",
        ),
        Bar(
            "≥ 60 % of the pulls",
            lambda m: 100 * m["wrens"]["pulls"] / m["redis-benchmark"]["pulls"],
            60,
            show="{:.0f} %",
        ),
    ],
    rounds=5,
    limit_s=120.0,
)

if __name__ == "__main__":
    main(BENCH)
