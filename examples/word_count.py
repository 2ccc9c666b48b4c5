"""Count words, and print the most common ones.

python examples/word_count.py 'texts/*.txt'
python examples/word_count.py s3://lab/texts/ --backend lambda --store s3://lab/jobs
"""

from __future__ import annotations

import argparse
import operator
from collections.abc import Iterator

import wrens


def words(part: wrens.Partition) -> Iterator[tuple[str, int]]:
    """Yield a one for each word of a part of the text."""
    for line in part.lines():
        for word in line.lower().split():
            yield word.strip(".,;:!?\"'()"), 1


def main() -> None:
    """Count the words of what the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", nargs="+", help="files, directories, globs; here or in a bucket")
    parser.add_argument("--backend", default="local")
    parser.add_argument("--store")
    args = parser.parse_args()
    with wrens.Executor(args.backend, store=args.store) as ex:
        counts = wrens.map_reduce(ex, wrens.partition(args.text), words, combine=operator.add).collect()
    for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:20]:
        print(f"{count:10,}  {word}")


if __name__ == "__main__":
    main()
