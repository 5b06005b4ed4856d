"""The priors on offer: the embedded one, every kit in one folder, and those named on the command line.

The folder is checked repeatedly, so that a new kit is offered without a restart.  Indexes are read again only when one
has changed; a kit that cannot be used is reported and not offered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from backend.errors import UserError
from backend.priors.kit import EMBEDDED, INDEX, Kit, kit_folder
from shared.messages import Prior, Priors

SHIPPED = Prior(name=EMBEDDED, title=EMBEDDED, description="The objects that came with Splatsmith", kit=True)
Stamp = tuple[Path, int, int]  # an index file, its modification time in ns, its size in bytes


class AvailablePriors:
    """`offers` has the priors; `refresh` brings it up to date.  The folder is made if it does not exist."""

    def __init__(self, folder: Path, others: tuple[str, ...] = ()) -> None:
        self.folder, self.others = folder, others
        with suppress(OSError):  # `refresh` reports it
            folder.mkdir(parents=True, exist_ok=True)
        self._seen: list[Stamp] | str = []
        self.offers = self._offers([], "")
        self.refresh()

    def refresh(self) -> bool:
        """Check the folder for kits that were added, changed or removed; whether the offers have changed."""
        stamps, problem = _stamps(self.folder)
        if self._seen == (problem or stamps):
            return False
        self._seen = problem or stamps
        before, self.offers = self.offers, self._offers([index.parent for index, _, _ in stamps], problem)
        return (before.priors, before.notes) != (self.offers.priors, self.offers.notes)

    def _offers(self, folders: list[Path], problem: str) -> Priors:
        found, notes = [SHIPPED], [problem] if problem else []
        sources: list[tuple[Callable[[str], Prior], str]] = [(_other, name) for name in self.others]
        for offer, name in [*sources, *((_kit, str(folder)) for folder in folders)]:
            try:
                found.append(offer(name))
            except UserError as error:
                notes.append(str(error))
        return Priors(priors=tuple(_distinct_titles(found)), notes=tuple(notes))


def _stamps(folder: Path) -> tuple[list[Stamp], str]:
    """The stamp of every index below the folder, in order; or why the folder cannot be read."""
    stamps = []
    try:
        for index in sorted(inside / INDEX for inside in folder.iterdir()):
            with suppress(FileNotFoundError, NotADirectoryError):  # not a kit, or one that is just being removed
                status = index.stat()
                stamps.append((index, status.st_mtime_ns, status.st_size))
    except OSError as error:
        return [], f"The kits in {folder} cannot be read ({error.strerror})."
    return stamps, ""


def _kit(folder: str) -> Prior:
    """The offer of a kit; KitError where it cannot be used."""
    kit = Kit(Path(folder))
    objects = "1 object" if len(kit) == 1 else f"{len(kit):,} objects"
    return Prior(name=folder, title=kit.name, description=f"{objects}, in {folder}", kit=True)


def _other(name: str) -> Prior:
    """The offer of a prior from the command line: a kit by its name, anything else as it was written."""
    return Prior(name=name, title=name) if kit_folder(name) is None else _kit(name)


def _distinct_titles(found: list[Prior]) -> Iterator[Prior]:
    """The priors with distinct titles: kits with the same name get their folder added."""
    titles = Counter(prior.title for prior in found)
    with_folder = Counter((prior.title, Path(prior.name).name) for prior in found)
    for prior in found:
        folder = Path(prior.name)
        suffix = folder.name if with_folder[prior.title, folder.name] == 1 else str(folder)
        title = f"{prior.title} ({suffix})" if titles[prior.title] > 1 and prior is not SHIPPED else prior.title
        yield Prior(name=prior.name, title=title, description=prior.description, kit=prior.kit)
