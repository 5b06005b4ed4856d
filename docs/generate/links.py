"""Links as the repository has them, between its own files, made those of the site.

README.md, CONTRIBUTING.md and docs/*.md are read on a forge as well as here, and link to sources.  Here a source has a
page of its own below source/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
# Pages that are made of files outside docs/.
INCLUDED = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "prior_data/README.md": "prior_data.md",
    "backend/priors/objects/ATTRIBUTION.md": "attribution.md",
}
LANGUAGES = {".py": "python", ".json": "json", ".sh": "bash", ".toml": "toml"}


def in_site(markdown: str, origin: str, page: str, is_there: Callable[[str], bool]) -> str:
    """The Markdown of the file `origin` (of the repository) with its links as they are seen from `page` (of the site).

    What `is_there` on the site, seen from the page, and web addresses stay as they are.
    """

    def moved(found: re.Match[str]) -> str:
        target, hash_mark, anchor = found[1].partition("#")
        if not target or ":" in target or (origin.startswith("docs/") and is_there(joined(page, target))):
            return found[1]
        place = site_path(joined(origin, target))
        return posixpath.relpath(place, posixpath.dirname(page) or ".") + hash_mark + anchor if place else found[1]

    return LINK.sub(moved, markdown)


def joined(file: str, target: str) -> str:
    """What a link in a file leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), target))


def site_path(file: str) -> str | None:
    """Where a file of the repository is on the site, None where it is not."""
    if file in INCLUDED:
        return INCLUDED[file]
    if file.startswith("docs/"):
        return file.removeprefix("docs/")
    return source_page(file) if (ROOT / file).is_file() else None


def has_source_page(file: str) -> bool:
    """Whether it is a file of the repository that has no other page."""
    return (ROOT / file).is_file() and site_path(file) == source_page(file)


def source_page(file: str) -> str:
    """The page of a source."""
    return f"source/{PurePosixPath(file).with_suffix('')}.md"


def sources(files: list[str]) -> dict[str, str]:
    """Pages of sources, by their place on the site."""
    return {source_page(file): _source(file) for file in files}


def _source(file: str) -> str:
    text = (ROOT / file).read_text(encoding="utf-8")
    language = LANGUAGES.get(PurePosixPath(file).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# {file}\n\n````{language}\n{text}\n````\n"
