"""The documentation site: `python build.py docs` makes it in work/site.  Any warning is a failure.

The pages are those of docs/, and others that docs/generate makes of the backend's own structs; so mkdocs is a group of
packages in the backend's environment.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.environments import Environment, SetUpError, environments
from tools.installing import set_up

ROOT = Path(__file__).resolve().parents[1]
GROUP = "docs"


def documentation(root: Path) -> Environment:
    """The backend's environment with the site's packages as one more group."""
    backend, _ = environments(root)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return replace(backend, groups={**backend.groups, GROUP: tuple(project["optional-dependencies"][GROUP])})


def build(python: Path, root: Path, out: Path) -> int:
    """Make the site in `out` with an interpreter that has the backend's and the site's packages; mkdocs's exit code.

    What `out` held is gone then.
    """
    paths = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement
    command: list[str | Path] = [python, "-P", "-m", "mkdocs", "build", "--strict", "--site-dir", out.absolute()]
    return subprocess.run(command, cwd=root, env={**os.environ, **quiet, "PYTHONPATH": paths}, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Set up what is missing, and build; the exit code."""
    parser = argparse.ArgumentParser(prog="build.py docs", description="The documentation site.")
    parser.add_argument("--out", type=Path, default=ROOT / "work" / "site", help="its folder, made anew (work/site)")
    parser.add_argument("--python", type=Path, help="of an environment that has everything; without it .venv is set up")
    args = parser.parse_args(arguments)
    environment = documentation(ROOT)
    try:
        if args.python is None:
            set_up(environment, "run", GROUP)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    code = build(args.python or environment.python, ROOT, args.out)
    if code == 0:
        print(f"Open {args.out / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
