"""How long one operation on the key-value tier takes, and how many there are in a second, by the number of clients.

Each client is a task, which writes values of 128 bytes one after the other for some seconds, and then reads them, as in figure 4 of the
paper. That says both "below 1 ms" and "700 transactions/s", which is 1.4 ms; here are the percentiles. Clients and servers share
this machine's processors, so what many clients show is the machine, and not the tier.

    python bench/key_value.py [--quick]           needs Debian's redis-server
"""

from __future__ import annotations

from contextlib import ExitStack

from harness import Bar, Bench, Entrant, Metric, Reading, main
from redis_server import redis_server


def measure(system: str, clients: int, shards: int, seconds: float) -> list[Reading]:
    import tempfile

    import wrens
    from wrens import kv
    from wrens.programs.micro import roundtrips
    from wrens.report.spread import percentile

    assert system == "wrens"
    found: Reading = {}
    with ExitStack() as stack:
        ports = [stack.enter_context(redis_server()) for _ in range(shards)]
        tier = stack.enter_context(kv.connect([f"redis://127.0.0.1:{port}" for port in ports]))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        ex = stack.enter_context(wrens.Executor(store=folder, max_workers=clients))
        for trips in roundtrips.run(ex, tier, clients, seconds):
            assert all(reading.right for reading in trips.run.readings)
            assert trips.run.processes == clients
            found |= {f"{trips.what}s": trips.run.aggregate}
            for percent in (50, 99, 99.9):
                found |= {f"{trips.what} p{percent:g}": 1000 * percentile(trips.latencies, percent)}
    return [found]


def entrants(quick: bool) -> list[Entrant]:
    counts = [(1, 1), (2, 1), (4, 1), (8, 1), (16, 1), (16, 2)]
    return [
        Entrant(
            "wrens" if clients == 1 else f"{clients} clients" + (f", {shards} servers" if shards > 1 else ""),
            "wrens",
            {"clients": clients, "shards": shards, "seconds": 0.2 if quick else 3.0},
            "one client" if clients == 1 else "",
        )
        for clients, shards in counts
    ]


BENCH = Bench(
    what="put and get of 128 bytes, one after the other",
    metrics=[
        Metric("puts", "puts/s"),
        Metric("put p50", "p50, ms", "{:.2f}", "lower"),
        Metric("put p99", "p99, ms", "{:.2f}", "lower"),
        Metric("put p99.9", "p99.9, ms", "{:.2f}", "lower"),
        Metric("gets", "gets/s"),
        Metric("get p50", "p50, ms", "{:.2f}", "lower"),
        Metric("get p99", "p99, ms", "{:.2f}", "lower"),
        Metric("get p99.9", "p99.9, ms", "{:.2f}", "lower"),
    ],
    measure=measure,
    entrants=entrants,
    bars=[
        Bar("the paper's rate of one client, 700/s", lambda m: m["wrens"]["puts"] / 700, 1.0),
        Bar(
            "the paper's latency, 1 ms, at p99", lambda m: m["wrens"]["put p99"], 1.0, "at most", "{:.2f} ms"
        ),
    ],
    rounds=3,
    limit_s=120.0,
)

if __name__ == "__main__":
    main(BENCH)
