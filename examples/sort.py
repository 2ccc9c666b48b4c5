"""Sort lines, or records of a fixed width, that may be more than fits into memory.

python examples/sort.py 'logs/*.txt' sorted/
python examples/sort.py s3://lab/records/ s3://lab/sorted --width 100 --key 0:10 --backend lambda --store s3://lab/jobs
"""

from __future__ import annotations

import argparse

import wrens


def main() -> None:
    """Sort what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", nargs="+", help="files, directories, globs; here or in a bucket")
    parser.add_argument("target", help="a directory or prefix for the sorted objects")
    parser.add_argument("--width", type=int, help="bytes of a record; lines if it is left out")
    parser.add_argument("--key", help="BEGIN:END, the bytes of a record that it is sorted by")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    key = slice(*map(int, args.key.split(":"))) if args.key else None
    with wrens.Executor(args.backend, store=args.store) as ex:
        done = wrens.sort(ex, args.source, args.target, border=args.width or "lines", key=key)
    print(f"{done.records:,} records in {len(done.parts)} objects at {done.target}")


if __name__ == "__main__":
    main()
