"""How many tasks go into a batch: nothing is lost, nothing is larger than it may be, nobody is left without."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wrens.core import packing as pack
from wrens.core.policy import Packing
from wrens.wire.handing_on import cut, runs
from wrens.wire.records import Sharing

PACKINGS = st.builds(
    Packing,
    size=st.none() | st.integers(1, 1000),
    target_s=st.floats(1e-3, 10.0),
    most=st.integers(1, 20_000),
)
ADAPTIVE = st.builds(Packing, target_s=st.floats(1e-3, 10.0), most=st.integers(1, 20_000))
PER_TASK = st.none() | st.floats(1e-9, 1e4)
TARGETS = st.floats(1e-3, 100.0)
TOTALS = st.integers(0, 1_000_000)
WORKERS = st.integers(1, 2000)


# --- tasks that are known at once -----------------------------------------------------------------------


@settings(deadline=None)
@given(TOTALS, PACKINGS, WORKERS, PER_TASK, TARGETS)
def test_sizes_add_up(
    total: int, packing: Packing, workers: int, per_task_s: float | None, target_s: float
) -> None:
    sizes = pack.sizes(total, packing=packing, workers=workers, per_task_s=per_task_s, target_s=target_s)
    assert sum(sizes) == total
    assert all(size >= 1 for size in sizes)


@settings(deadline=None)
@given(st.integers(1, 1_000_000), ADAPTIVE, WORKERS, PER_TASK, TARGETS)
def test_adapted_sizes_are_alike_and_within_bounds(
    total: int, packing: Packing, workers: int, per_task_s: float | None, target_s: float
) -> None:
    sizes = pack.sizes(total, packing=packing, workers=workers, per_task_s=per_task_s, target_s=target_s)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= packing.most
    assert sizes == sorted(sizes, reverse=True)


@given(st.integers(1, 1_000_000), ADAPTIVE, WORKERS, TARGETS)
def test_of_unknown_tasks_every_worker_gets_some(
    total: int, packing: Packing, workers: int, target_s: float
) -> None:
    sizes = pack.sizes(total, packing=packing, workers=workers, per_task_s=None, target_s=target_s)
    assert len(sizes) >= min(total, workers)


@given(st.integers(1, 100_000), WORKERS, st.floats(1e-6, 100.0))
def test_no_batch_of_known_tasks_is_planned_to_take_long(total: int, workers: int, per_task_s: float) -> None:
    sizes = pack.sizes(total, packing=Packing(), workers=workers, per_task_s=per_task_s, target_s=0.05)
    # Rounding the number of batches may make one half as long again.
    assert max(sizes) == 1 or max(sizes) * per_task_s <= 2 * pack.LONGEST_S


@given(TOTALS, st.integers(1, 1000))
def test_a_fixed_size_is_kept_but_for_the_rest(total: int, size: int) -> None:
    sizes = pack.sizes(total, packing=Packing(size=size), workers=3, per_task_s=None, target_s=0.05)
    assert all(each == size for each in sizes[:-1])
    assert sizes == [] or 1 <= sizes[-1] <= size


# --- submitted calls ------------------------------------------------------------------------------------


@given(st.integers(1, 100_000), st.integers(1, 2000), PACKINGS, PER_TASK, TARGETS)
def test_a_queued_batch_is_neither_empty_nor_more_than_waits(
    waiting: int, free: int, packing: Packing, per_task_s: float | None, target_s: float
) -> None:
    count = pack.queued(waiting, free, packing=packing, per_task_s=per_task_s, target_s=target_s)
    assert 1 <= count <= waiting
    assert packing.size is None or count <= packing.size
    assert packing.size is not None or count <= packing.most


@given(st.integers(1, 5000), st.integers(1, 100), ADAPTIVE, PER_TASK, TARGETS)
def test_queued_calls_leave_no_free_worker_without(
    waiting: int, free: int, packing: Packing, per_task_s: float | None, target_s: float
) -> None:
    given_out, left, workers = 0, waiting, free
    while left and workers:
        left -= pack.queued(left, workers, packing=packing, per_task_s=per_task_s, target_s=target_s)
        workers -= 1
        given_out += 1
    assert given_out == min(free, waiting)


@given(st.integers(1, 5000), st.integers(1, 100), TARGETS)
def test_calls_of_unknown_length_are_given_out_one_by_one(waiting: int, free: int, target_s: float) -> None:
    assert pack.queued(waiting, free, packing=Packing(), per_task_s=None, target_s=target_s) == 1


# --- inputs of unknown length ---------------------------------------------------------------------------


@given(ADAPTIVE, st.integers(1, 100_000), PER_TASK, TARGETS)
def test_lazy_batches_grow_by_a_bounded_factor(
    packing: Packing, last: int, per_task_s: float | None, target_s: float
) -> None:
    count = pack.lazily(packing=packing, last=last, per_task_s=per_task_s, target_s=target_s)
    assert 1 <= count <= max(1, min(16 * last, packing.most))
    if per_task_s is None:
        assert count == 1
    elif count > 1:
        assert count * per_task_s <= target_s


@given(st.integers(1, 1000), PER_TASK)
def test_a_fixed_size_is_kept_lazily(size: int, per_task_s: float | None) -> None:
    packing = Packing(size=size)
    assert pack.lazily(packing=packing, last=1, per_task_s=per_task_s, target_s=1.0) == size


# --- handing on -----------------------------------------------------------------------------------------


@given(st.integers(1, 10_000), PACKINGS, WORKERS, PER_TASK, TARGETS)
def test_only_batches_that_can_be_shared_are(
    count: int, packing: Packing, workers: int, per_task_s: float | None, target_s: float
) -> None:
    sharing = pack.sharing(count, packing=packing, workers=workers, per_task_s=per_task_s, target_s=target_s)
    whole = count == 1 or workers == 1 or packing.size is not None
    assert (sharing.after_s is None) == whole
    assert sharing.ways == workers
    if sharing.after_s is not None:
        assert sharing.after_s >= target_s
        # A batch that keeps to its estimate is not cut.
        assert per_task_s is None or sharing.after_s >= count * per_task_s


@given(
    st.integers(0, 10_000),
    st.integers(0, 5000),
    st.floats(0.0, 1e3),
    st.builds(Sharing, target_s=TARGETS, ways=st.integers(0, 200)),
)
def test_a_cut_covers_its_run_exactly(start: int, count: int, per_task_s: float, sharing: Sharing) -> None:
    pieces = cut(start, count, per_task_s, sharing)
    assert [t for first, n in pieces for t in range(first, first + n)] == list(range(start, start + count))
    sizes = [n for _, n in pieces]
    assert all(n >= 1 for n in sizes)
    assert sizes == sorted(sizes, reverse=True)
    if (
        sharing.ways > 1
        and count * per_task_s > 2 * sharing.ways * sharing.target_s
        and count > 2 * sharing.ways
    ):
        assert len(pieces) >= sharing.ways


@given(st.sets(st.integers(0, 500)), st.floats(0.0, 10.0), TARGETS)
def test_runs_cover_their_tasks_exactly(tasks: set[int], per_task_s: float, target_s: float) -> None:
    found = runs(sorted(tasks), per_task_s, target_s)
    assert [t for first, n in found for t in range(first, first + n)] == sorted(tasks)
    assert all(n == 1 or n * per_task_s <= target_s * 1.0001 for _, n in found)


# --- the pace -------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0.0, 1e6), st.integers(-1, 1000)), max_size=30))
def test_the_pace_stays_within_what_was_seen(seen: list[tuple[float, int]]) -> None:
    pace = pack.Pace()
    for seconds, tasks in seen:
        pace.learn("f", seconds, tasks)
    useful = [max(seconds / tasks, 1e-9) for seconds, tasks in seen if tasks > 0]
    found = pace.per_task("f")
    if not useful:
        assert found is None
    else:
        assert found is not None
        assert min(useful) * 0.999 <= found <= max(useful) * 1.001
    assert pace.per_task("g") is None
