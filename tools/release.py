"""`build.py release VERSION`: the version in every file, the changelog's headline, a commit, a tag, and the zips.

Nothing is pushed.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tools.environments import SetUpError

VERSION = re.compile(r"\d+\.\d+\.\d+")
UNRELEASED = "## Unreleased\n"
# Each file has the version once, in a line of its own.
LINES = {
    "pyproject.toml": 'version = "{}"',
    "shared/__init__.py": 'VERSION = "{}"',
    "blender_addon/blender_manifest.toml": 'version = "{}"',
}


def release(root: Path, version: str, package: Callable[[], object], day: str | None = None) -> str:
    """Make the release; the tag.

    Args:
        root: the repository.
        version: as 1.2.3, later than the one there is.
        package: builds the zips, of the files as they are then; where it fails, nothing is committed.
        day: of the changelog, as 2026-11-26; today where there is none.

    Raises:
        SetUpError: the tree is not clean, or the version or the changelog does not fit.  Nothing is changed then.
    """
    tag = f"v{version}"
    texts = _new_texts(root, version, day or datetime.now(UTC).date().isoformat())
    if _git(root, "status", "--porcelain", "--untracked-files=no"):
        raise SetUpError("There are changes that are not committed: commit them, or put them away with git stash.")
    if _git(root, "tag", "--list", tag):
        raise SetUpError(f"There is a {tag} already: choose a later version.")
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    try:
        package()
        _git(root, "commit", "--quiet", "--message", f"Release {version}", "--", *texts)
    except BaseException:
        _git(root, "checkout", "--quiet", "HEAD", "--", *texts)
        raise
    _git(root, "tag", "--annotate", "--message", f"Splatsmith {version}", tag)
    return tag


def _new_texts(root: Path, version: str, day: str) -> dict[str, str]:
    """The files as the release has them."""
    if not VERSION.fullmatch(version):
        raise SetUpError(f"{version} is no version: write it as 1.2.3.")
    texts = {}
    for name, line in LINES.items():
        before = (root / name).read_text(encoding="utf-8")
        found = re.findall("^" + re.escape(line).replace(r"\{\}", "(.*)") + "$", before, re.MULTILINE)
        if len(found) != 1:
            raise SetUpError(f"{name} must have one line as this one, and has {len(found)}: {line.format('1.2.3')}")
        if _numbers(version) <= _numbers(found[0]):
            raise SetUpError(f"{name} is of {found[0]} already: choose a later version than that.")
        texts[name] = before.replace(line.format(found[0]), line.format(version))
    texts["CHANGELOG.md"] = _dated((root / "CHANGELOG.md").read_text(encoding="utf-8"), version, day)
    return texts


def _dated(changelog: str, version: str, day: str) -> str:
    """What was unreleased stands under the version; an empty headline for what is next stays above it."""
    before, headline, after = changelog.partition(UNRELEASED)
    if not headline or not after.partition("\n## ")[0].strip():
        raise SetUpError(f"CHANGELOG.md has nothing under '{UNRELEASED.strip()}': write what is new first.")
    return f"{before}{headline}\n## {version} - {day}\n{after}"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _git(root: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise SetUpError(f"git {arguments[0]} failed: {answer.stderr.strip()}")
    return answer.stdout.strip()
