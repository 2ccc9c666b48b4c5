"""``wrens bench flops``, ``store``, ``kv`` and ``breakdown``: what each worker measured, what is left, and figures that show just that."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

import wrens
from wrens.cli import micro
from wrens.cli.app import run
from wrens.environments.needs import Imports
from wrens.kv import serve, servers
from wrens.programs.micro import flops, objects
from wrens.report import figures
from wrens.report.breakdown import NAMES, AttemptTimes, Breakdown, Parts, Watch, divided
from wrens.serialize.functions import Shipper
from wrens.store import open_store
from wrens.wire.records import Usage

pytestmark = pytest.mark.this_computer("names its own stores")
BACKENDS = ("local", "inline")


def measured(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert run(["bench", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def check_rates(facts: dict[str, Any], workers: int) -> None:
    """What holds for every job with one task for each worker."""
    each = [one["rate"] for one in facts["each"]]
    assert len(each) == workers
    assert facts["right"]
    assert 0 < facts["effective"] <= facts["aggregate"] <= sum(each) * 1.001
    assert facts["effective"] == pytest.approx(sum(one["amount"] for one in facts["each"]) / facts["job_s"])


# --- what is measured ----------------------------------------------------------------------------------


def test_each_worker_computes_by_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = measured(
        capsys, "flops", "--workers", "1,2", "--size", "128", "--loops", "3", "--figure", f"{tmp_path}/rates"
    )
    assert [facts["workers"] for facts in found["runs"]] == [1, 2]
    for facts in found["runs"]:
        check_rates(facts, facts["workers"])
        assert facts["processes"] == facts["workers"]
        assert {one["amount"] for one in facts["each"]} == {3 * 2 * 128**3}
        # A library that has taken more threads than one shows in the processor time.
        assert all(one["cpu_s"] < 1.5 * one["seconds"] + 0.02 for one in facts["each"])
    assert (tmp_path / "rates.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "rates.svg").read_text()


@pytest.mark.parametrize("backend", BACKENDS)
def test_objects_are_written_read_and_deleted(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--backend", backend, "--store", str(tmp_path))
    found = measured(capsys, "store", "--workers", "2", "--megabytes", "3", *at)
    (facts,) = found["runs"]
    for direction in ("write", "read"):
        check_rates(facts[direction], 2)
        assert {one["amount"] for one in facts[direction]["each"]} == {3_000_000}
    assert [key for key in open_store(tmp_path).list("") if key != "probe"] == []


def test_the_reader_notices_a_changed_byte(capsys: pytest.CaptureFixture[str]) -> None:
    with wrens.Executor("inline", store="memory://changed") as ex:
        written = ex.options(keep=True).map_async(objects.write, [100_000, 100_000]).results()
        data = bytearray(ex.store.get(written[1].key))
        data[50_000] ^= 1
        ex.store.put(written[1].key, data, mode="replace")
        readings = list(ex.map(objects.read, written))
    assert [reading.right for reading in readings] == [True, False]
    with pytest.raises(typer.Exit):
        micro.finish([micro_run(readings)])
    assert "1 task found what was computed or read WRONG" in capsys.readouterr().out


def micro_run(readings: list[Any]) -> Any:
    from wrens.programs.micro.measuring import Run

    return Run(len(readings), 1.0, tuple(readings))


def test_clients_are_counted_with_every_operation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve() as one, serve() as two:
        at = ("--url", one, "--url", two, "--shards", "1,2", "--figure", f"{tmp_path}/kv.png")
        found = measured(capsys, "kv", "--workers", "2", "--seconds", "0.2", *at)
        assert [servers.client(url).keys("*bench*") for url in (one, two)] == [[], []]
    assert [(facts["what"], facts["shards"]) for facts in found] == [
        (what, shards) for shards in (1, 2) for what in ("put", "get")
    ]
    for facts in found:
        check_rates(facts, 2)
        assert facts["operations"] == sum(one["amount"] for one in facts["each"])
        times = [facts["latency_s"][name] for name in ("p50", "p90", "p99", "p99.9", "p100")]
        assert times == sorted(times)
        assert 0 < times[0] <= times[-1] <= max(one["seconds"] for one in facts["each"])
        # They were at work at the same time, so each began before the other had ended.
        begins = [one["began_at"] for one in facts["each"]]
        assert max(begins) < min(one["began_at"] + one["seconds"] for one in facts["each"])
    assert {path.name for path in tmp_path.glob("kv*")} == {"kv.png", "kv.svg"}


def test_a_worker_without_packages_gets_numpy() -> None:
    assert Imports().reached(Shipper().function(flops.multiply).modules) == {"numpy"}


# --- where the time of a job goes ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_parts_add_up_to_the_time_of_the_job(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("breakdown", "--tasks", "3", "--workers", "2", "--seconds", "0.05", "--backend", backend)
    found = measured(capsys, *words, "--figure", f"{tmp_path}/times")
    assert sorted(one["start"] for one in found["attempts"]) == [0, 1, 2]
    totals = [sum(one[name] for name in NAMES) for one in found["attempts"]]
    assert max(totals) + found["after_s"] == pytest.approx(found["job_s"], abs=1e-6)
    for one in found["attempts"]:
        assert all(one[name] >= 0 for name in NAMES)
        assert one["compute"] >= 0.05
        assert one["fetch"] > 0
    assert (tmp_path / "times.png").exists()


def die_once(path: str) -> str:
    import os

    marker = Path(path)
    if not marker.exists():
        marker.touch()
        os._exit(3)
    return path


def test_what_was_lost_is_in_the_breakdown_of_any_job(tmp_path: Path) -> None:
    watch = Watch()
    with wrens.Executor("local", store=tmp_path, max_workers=1, observers=[watch]) as ex:
        job = ex.map_async(die_once, [str(tmp_path / "marker")])
        job.results()
        found = watch.breakdown(ex.store, job.id)
    assert found.lost == 1
    assert found.lost_s > 0
    (last,) = found.attempts
    assert last.parts.plan > found.lost_s  # what was lost had to be waited for
    assert last.parts.total + found.after_s == pytest.approx(found.job_s)


seconds = st.floats(0, 1000)


@given(
    waits=st.tuples(seconds, seconds, seconds, seconds),
    worked=st.tuples(seconds, seconds, seconds),
    ahead=st.floats(-5000, 5000),
    known=st.booleans(),
)
def test_whatever_clocks_say_parts_are_possible_and_add_up(
    waits: tuple[float, ...], worked: tuple[float, ...], ahead: float, known: bool
) -> None:
    plan, launch, commit, collect = waits
    setup, fetch, compute = worked
    told = Usage(
        began_at=plan + launch + ahead,
        wall_s=sum(worked),
        setup_s=setup + fetch,
        fetch_s=fetch,
        task_s=(compute,),
    )
    noticed = plan + launch + sum(worked) + commit
    parts, moved = divided(
        told, called_at=0.0, launched_at=plan, noticed_at=noticed, settled_at=noticed + collect,
        worker_ahead=ahead if known else 0.0,
    )  # fmt: skip
    assert all(getattr(parts, name) >= -1e-6 for name in NAMES)
    assert parts.total == pytest.approx(noticed + collect, abs=1e-6)
    assert (parts.setup, parts.fetch, parts.compute) == pytest.approx((setup, fetch, compute), abs=1e-6)
    if known:
        assert (parts.launch, parts.commit, moved) == pytest.approx((launch, commit, 0.0), abs=1e-6)


# --- figures and errors --------------------------------------------------------------------------------


def test_figures_show_what_they_were_given() -> None:
    line = figures.Line("read", [1, 2, 4], [10.0, 19.0, 30.0], [5.0, 9.0, 11.0], [7.0, 8.0, 8.0, 9.5])
    left, right = figures.scaling("bandwidth", "MB/s", [line]).axes
    assert [list(drawn.get_ydata()) for drawn in left.lines] == [line.aggregate, line.effective]
    assert sum(bar.get_height() for bar in right.patches) == 4
    assert (left.get_ylabel(), left.get_xlabel()) == ("MB/s", "workers")

    some = [Parts(1.0, 0.5, 0.25, 0.0, 2.0, 0.1, 0.05), Parts(0.5, compute=3.0)]
    found = Breakdown(tuple(AttemptTimes(f"{i}.a", i, 1, "w", one) for i, one in enumerate(some)), 4.0)
    (axes,) = figures.timeline("two tasks", found).axes
    ends = {bar.get_y(): bar.get_x() + bar.get_width() for bar in axes.patches}
    assert sorted(ends.values()) == pytest.approx([3.5, 3.9])


def test_a_figure_of_descents_has_all_curves_and_borders() -> None:
    curves = [
        figures.Curve("2 workers", [0, 1, 2], [20, 3, 0.5]),
        figures.Curve("alone", [0, 1], [20, 0.2], dashed=True),
    ]
    (axes,) = figures.descents("loss", "%", curves, borders=(5, 1)).axes
    drawn, alone, *borders = axes.get_lines()
    assert drawn.get_xydata().tolist() == [[0, 20], [1, 3], [2, 0.5]]
    assert (drawn.get_linestyle(), alone.get_linestyle()) == ("-", "--")
    assert [line.get_ydata()[0] for line in borders] == [5, 1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["2 workers", "alone"]
    assert axes.get_yscale() == "log"


def test_a_figure_that_cannot_be_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "flops", "--figure", f"{tmp_path}/nowhere/rates"]) == 2
    assert "folder that does not exist" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(["bench", "flops", "--figure", f"{tmp_path}/rates"]) == 2
    caught = capsys.readouterr()
    assert "pip install 'wrens[figures]'" in caught.err
    assert caught.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("flops", "--workers", "0,2"), "--workers"),
        (("flops", "--size", "0"), "--size"),
        (("store", "--megabytes", "0"), "--megabytes"),
        (("breakdown", "--seconds", "-1"), "--seconds"),
        (("kv", "--url", "redis://127.0.0.1:1", "--shards", "2"), "--shards"),
        (("kv", "--backend", "lambda"), "--url"),
    ],
)
def test_an_option_that_cannot_be_is_named(
    words: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", *words]) == 2
    assert told in capsys.readouterr().err


def test_tables_have_a_row_for_each_number_of_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "flops", "--backend", "inline", "--workers", "1,4", "--size", "16"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.split()[1:2] == ["1"]] == ["1", "4"]
    assert "of each worker" in out  # the histogram of the four
    assert run(["bench", "breakdown", "--backend", "inline", "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    assert [name for name in (*NAMES, "total") if figures.label(name) not in out] == []
