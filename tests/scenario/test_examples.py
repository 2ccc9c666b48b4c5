"""The programs in ``examples/`` do what their first lines say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.this_computer("starts programs that name their own stores")
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *words: object) -> list[list[str]]:
    """Run an example, and return the words of each line that it prints."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def test_word_count(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The cat, the hat.\nA cat!\n")
    (tmp_path / "b.txt").write_text("the end")
    found = run("word_count", tmp_path / "*.txt", "--store", tmp_path / "store")
    assert found == [["3", "the"], ["2", "cat"], ["1", "a"], ["1", "end"], ["1", "hat"]]


def test_sort(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"b2a1a2")
    target = tmp_path / "sorted"
    run("sort", tmp_path / "in", target, "--width", 2, "--key", "0:1", "--store", tmp_path / "store")
    assert b"".join(part.read_bytes() for part in sorted(target.glob("part-*"))) == b"a1a2b2"


def test_group_by(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"who": ["a", "b", "a"], "cents": [1, 2, 3]}), tmp_path / "t.parquet")
    found = run(
        "group_by", tmp_path / "*.parquet", "--by", "who", "--sum", "cents", "--store", tmp_path / "store"
    )
    assert found == [["4", "2", "a"], ["2", "1", "b"]]


def test_join(tmp_path: Path) -> None:
    (tmp_path / "customers").write_text("1,fr\n2,it\n3,fr\n")
    (tmp_path / "orders").write_text("1,10\n3,5\n2,7\n1,1\n9,2\n")
    found = run("join", tmp_path / "customers", tmp_path / "orders", "--store", tmp_path / "store")
    assert found == [["16", "fr"], ["7", "it"], ["2", "unknown"]]


def test_pagerank_of_a_real_graph(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    graph = networkx.karate_club_graph().to_directed()
    (tmp_path / "edges").write_text("\n".join(f"{a} {b}" for a, b in graph.edges))
    words = tmp_path / "edges", "--iterations", 60, "--store", tmp_path / "store"
    found = run("pagerank", *words, "--partitions", 3)
    expected = networkx.pagerank(graph, tol=1e-12, weight=None)
    best = sorted(expected, key=lambda vertex: -expected[vertex])[:10]
    assert [int(vertex) for _, vertex in found] == best
    assert all(abs(float(rank) - expected[int(vertex)]) < 1e-8 for rank, vertex in found)


def test_components_of_a_real_graph(tmp_path: Path) -> None:
    networkx = pytest.importorskip("networkx")
    social = networkx.davis_southern_women_graph(), networkx.les_miserables_graph()
    graph = networkx.convert_node_labels_to_integers(networkx.disjoint_union_all(social))
    (tmp_path / "edges").write_text("\n".join(f"{a} {b}" for a, b in graph.edges))
    found = run("components", tmp_path / "edges", "--partitions", 5, "--store", tmp_path / "store")
    parts = sorted(networkx.connected_components(graph), key=lambda part: (-len(part), min(part)))
    assert found == [[str(len(part)), str(min(part))] for part in parts]
