"""Names in the store: bounded, distinct, and the same wherever they are made."""

from __future__ import annotations

from wrens.wire import keys

FILE_NAME = 255
"""Bytes that a file's name may have."""


def lineage(generations: int) -> list[str]:
    """Return the names of two children of a batch, of two of the last of those, and so on."""
    names = [keys.batch(7)]
    for generation in range(generations):
        # A cancelled task in the middle leaves two children, and either may be cut again.
        parent = names[-1 - generation % 2]
        names += [keys.child(parent, 0), keys.child(parent, 1)]
    return names


def test_names_of_a_thousand_generations_are_short_and_distinct() -> None:
    names = lineage(1000)
    assert max(map(len, names)) < 130
    assert len(set(names)) == len(names)


def test_the_first_generations_can_be_read() -> None:
    assert lineage(2)[1:] == ["00000007.0", "00000007.1", "00000007.0.0", "00000007.0.1"]


def test_a_child_of_any_generation_has_its_root_and_a_dot_in_its_name() -> None:
    for name in lineage(1000)[1:]:
        assert name.startswith("00000007.")
        assert "/" not in name


def test_an_attempt_of_any_generation_tells_its_batch_and_fits_into_a_file_name() -> None:
    for name in lineage(1000):
        attempt = f"{name}.123456789-{keys.new_id()}"
        assert attempt.rpartition(".")[0] == name
        assert len(attempt) < FILE_NAME


def test_equal_numbers_below_different_parents_are_different_names() -> None:
    deep = "00000007" + ".0" * 45
    assert len({keys.child(f"{deep}.{i}", j) for i in range(20) for j in range(20)}) == 400
