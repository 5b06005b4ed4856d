"""The process of one stage: `python -m tools.gpu.stage NAME --part FILE --seconds 60 --scratch FOLDER`."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import runpy
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tools.gpu.part import Part

LAST_WORDS = 3.0  # seconds before the limit, for the traceback of a stage that hangs


def main() -> int:
    """Run the stage; 1 where it raised."""
    parser = argparse.ArgumentParser()
    parser.add_argument("stage", help="a module of tools.gpu, or a file of your own")
    parser.add_argument("--part", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(args.seconds - LAST_WORDS, 0.1))
    part = Part(args.part, args.seconds, args.scratch, args.small)
    try:
        measure_of(args.stage)(part)
    except Exception as error:
        part.failed("the stage itself", error)
        return 1
    finally:
        part.put(complete=True)
        faulthandler.cancel_dump_traceback_later()
    return 0


def _end_with(parent: int) -> None:
    """End this process and all that it has started once its parent is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(os.getpgid(0), signal.SIGKILL)


def measure_of(stage: str) -> Callable[[Part], None]:
    """A stage's function `measure`."""
    if stage.endswith(".py"):
        found: Callable[[Part], None] = runpy.run_path(stage)["measure"]
        return found
    found = importlib.import_module(f"tools.gpu.{stage}").measure
    return found


if __name__ == "__main__":
    raise SystemExit(main())
