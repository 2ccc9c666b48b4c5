"""Sum up a column of Parquet files for each value of another.

python examples/group_by.py 'sales/*.parquet' --by customer --sum cents
"""

from __future__ import annotations

import argparse

import wrens


def main() -> None:
    """Group what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", help="Parquet files, directories, globs; here or in a bucket")
    parser.add_argument("--by", required=True, help="the column to group by")
    parser.add_argument("--sum", required=True, help="the column to sum up")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    with wrens.Executor(args.backend, store=args.store) as ex:
        parts = wrens.partition(args.tables, border="parquet")
        found = wrens.group_by(ex, parts, args.by, {"total": (args.sum, "sum"), "rows": (args.sum, "count")})
        table = found.table().sort_by([("total", "descending"), (args.by, "ascending")])
    for row in table.slice(0, 20).to_pylist():
        print(f"{row['total']:14,}  {row['rows']:10,}  {row[args.by]}")


if __name__ == "__main__":
    main()
