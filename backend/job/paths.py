"""Paths in a job file: on the disk as seen from its folder, in memory absolute.

So a folder may be moved with what lies beside it, or be seen at another mount point.  A folder that is moved alone
still finds what stayed behind: the file also says where it was written (`written_in`).  A job file of the user's own
may have relative paths too: from its folder, else from the current one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.priors.kit import EMBEDDED

Fields = dict[str, Any]
FILES = ("init_mesh", "start_from")  # always paths
MODELS = ("prior", "start_prior")  # paths, or a kit's or a hub's name
WRITTEN_IN = "written_in"  # the folder's absolute path when its job file was written


def as_seen_from(folder: Path, fields: Fields) -> Fields:
    """A job's fields for a file in `folder`: paths relative to it, with slashes, and where it is."""
    base = folder.absolute()

    def relative(text: str, model: bool) -> str:
        path = Path(text).expanduser()
        if model and not path.exists():
            return text
        try:
            return Path(os.path.relpath(path.absolute(), base)).as_posix()
        except ValueError:  # another drive of Windows
            return str(path.absolute())

    return {**_changed(fields, relative), WRITTEN_IN: str(base)}


def absolute_paths(fields: Fields, folder: Path) -> Fields:
    """The fields of a job file that lies in `folder`: each relative path to something that is there is absolute."""
    bases = [folder.absolute()]
    if isinstance(written_in := fields.get(WRITTEN_IN), str):
        bases.append(Path(written_in))

    def absolute(text: str, _model: bool) -> str:
        if Path(text).expanduser().is_absolute():
            return text
        # Not resolved: a folder under a link stays under it.
        found = (Path(os.path.normpath(base / text)) for base in bases)
        return next((str(path) for path in found if path.exists()), text)

    return {name: value for name, value in _changed(fields, absolute).items() if name != WRITTEN_IN}


def as_written(fields: Fields, folder: Path) -> Fields:
    """The fields as they are after they were written to a file in `folder` and read again."""
    return absolute_paths(as_seen_from(folder, fields), folder)


def _changed(fields: Fields, change: Callable[[str, bool], str]) -> Fields:
    """The fields with every path in them changed; `change` also gets whether it may be the name of a model."""
    new: Fields = {
        name: change(fields[name], name in MODELS)
        for name in (*FILES, *MODELS)
        if isinstance(fields.get(name), str) and fields[name] not in ("", EMBEDDED)
    }
    if isinstance(loras := fields.get("loras"), list | tuple):
        new["loras"] = [_lora(one, change) for one in loras]
    return {**fields, **new}


def _lora(one: Any, change: Callable[[str, bool], str]) -> Any:
    known = isinstance(one, dict) and isinstance(one.get("file"), str)
    return {**one, "file": change(one["file"], False)} if known else one
