"""A hook of pre-commit: names the files that are too large for the history, which keeps each version of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

LIMIT = 1_000_000  # bytes


def main(names: Sequence[str]) -> int:
    """1 and a sentence for each file over the limit, else 0."""
    large = [(name, size) for name in names if (size := Path(name).stat().st_size) > LIMIT]
    for name, size in large:
        print(f"{name} has {size / 1e6:.1f} MB: the limit is {LIMIT / 1e6:.0f} MB outside backend/priors/objects.")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
