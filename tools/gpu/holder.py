"""Another program that uses the card: it takes so much of its memory that as much is left as it is told.

`python -m tools.gpu.holder` reads a number of bytes a line, and answers with what is free then.
"""

from __future__ import annotations

import subprocess
import sys

import torch

CHUNK = 2**28  # bytes; what is left is that exact


def main() -> None:
    """Take and give back until the input ends."""
    held: list[torch.Tensor] = []
    torch.zeros(1, device="cuda")
    for line in sys.stdin:
        wanted = int(line)
        held.clear()
        torch.cuda.empty_cache()
        while torch.cuda.mem_get_info()[0] > wanted + CHUNK:
            held.append(torch.empty(CHUNK, dtype=torch.uint8, device="cuda"))
        rest = torch.cuda.mem_get_info()[0] - wanted
        if rest > 2**21:
            held.append(torch.empty(rest // 2**21 * 2**21, dtype=torch.uint8, device="cuda"))
        print(torch.cuda.mem_get_info()[0], flush=True)


class Holder:
    """The program from outside; it ends with the block."""

    def __enter__(self) -> Holder:
        command = [sys.executable, "-m", "tools.gpu.holder"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def leave(self, size: float) -> int:
        """Have so many bytes of the card free, or less where less is; what is free then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(int(size), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())


if __name__ == "__main__":
    main()
