"""The entrance of the command line: one command, its exit code, and errors as sentences."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from backend.cli.options import parser
from backend.errors import UserError, said_of
from backend.run.memory import is_out_of_memory, what_helps

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.  What the user can mend is one sentence on stderr and exit code 2."""
    logging.basicConfig(level=logging.WARNING)
    args = parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except UserError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(said_of(error, args.out or getattr(args, "go_on", None)), file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(what_helps(), file=sys.stderr)
        return FAILED
    return BAD_INPUT
