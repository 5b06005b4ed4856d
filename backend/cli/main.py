"""The entry point of the command line: runs one command, returns its exit code, prints errors as sentences."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from backend.cli.options import build_parser
from backend.errors import UserError, sentence_of
from backend.run.memory import is_out_of_memory, memory_advice

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code.  A UserError is one sentence on stderr and exit code 2."""
    logging.basicConfig(level=logging.WARNING)
    args = build_parser().parse_args(arguments)
    try:
        return int(args.run(args))
    except UserError as error:
        print(error, file=sys.stderr)
    except OSError as error:
        print(sentence_of(error, args.out or getattr(args, "continue_from", None)), file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return INTERRUPTED
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        print(memory_advice(), file=sys.stderr)
        return FAILED
    return BAD_INPUT
