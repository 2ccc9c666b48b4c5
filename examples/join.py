"""Join two tables of text by their first column, and count the rows of the second for each value of the first.

    python examples/join.py customers.csv orders.csv        # customer,country   customer,cents

Two stages: the join by customer, whose results stay in the store, and the sum by country, which reads them there.
"""

from __future__ import annotations

import argparse
import operator
from collections.abc import Iterator

import wrens


def main() -> None:
    """Join what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("customers", help="lines of CUSTOMER,COUNTRY")
    parser.add_argument("orders", help="lines of CUSTOMER,CENTS")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    sides = [
        (side, part) for side in ("customers", "orders") for part in wrens.partition(getattr(args, side))
    ]
    with wrens.Executor(args.backend, store=args.store) as ex:
        joined = wrens.map_reduce(ex, sides, by_customer, matched)
        totals = wrens.map_reduce(ex, joined.parts, by_country, combine=operator.add).collect()
    for country, cents in sorted(totals.items()):
        print(f"{cents:14,}  {country}")


def by_customer(side: tuple[str, wrens.Partition]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield each row under its customer, with the name of its table."""
    name, part = side
    for line in part.lines():
        customer, value = line.split(",")
        yield customer, (name, value)


def matched(_customer: str, rows: list[tuple[str, str]]) -> tuple[str, int]:
    """Return a customer's country, and the cents of all orders."""
    country = next((value for name, value in rows if name == "customers"), "unknown")
    return country, sum(int(value) for name, value in rows if name == "orders")


def by_country(joined: list[tuple[str, tuple[str, int]]]) -> Iterator[tuple[str, int]]:
    """Yield each customer's cents under the country."""
    for _, (country, cents) in joined:
        yield country, cents


if __name__ == "__main__":
    main()
