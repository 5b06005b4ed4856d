"""The priors on offer: the embedded one, every kit in one folder, and what else the server was told of.

The folder is looked at again and again, so a kit that was just made is offered without a restart.  Only its index is
read, and only when one has changed; a kit that cannot be used is left out with the reason.
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
Stamp = tuple[Path, int, int]  # an index, when it was written, its bytes


class AvailablePriors:
    """What is offered; `offers` is brought up to date by `look`.  The folder is made where it is not there."""

    def __init__(self, folder: Path, others: tuple[str, ...] = ()) -> None:
        self.folder, self.others = folder, others
        with suppress(OSError):  # `look` tells of it
            folder.mkdir(parents=True, exist_ok=True)
        self._seen: list[Stamp] | str = []
        self.offers = self._offers([], "")
        self.look()

    def look(self) -> bool:
        """See whether something has come, changed or gone; whether other things are offered now."""
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
        return Priors(priors=tuple(_told_apart(found)), notes=tuple(notes))


def _stamps(folder: Path) -> tuple[list[Stamp], str]:
    """Of every index below the folder, in order; and why the folder cannot be read, if so."""
    stamps = []
    try:
        for index in sorted(inside / INDEX for inside in folder.iterdir()):
            with suppress(FileNotFoundError, NotADirectoryError):  # no kit, or one that is just being removed
                told = index.stat()
                stamps.append((index, told.st_mtime_ns, told.st_size))
    except OSError as error:
        return [], f"The kits in {folder} cannot be read ({error.strerror})."
    return stamps, ""


def _kit(folder: str) -> Prior:
    """A kit as it is offered; KitError where it cannot be used."""
    kit = Kit(Path(folder))
    objects = "1 object" if len(kit) == 1 else f"{len(kit):,} objects"
    return Prior(name=folder, title=kit.name, description=f"{objects}, in {folder}", kit=True)


def _other(name: str) -> Prior:
    """A prior that the server was told of: a kit by its name, anything else as it was written."""
    return Prior(name=name, title=name) if kit_folder(name) is None else _kit(name)


def _told_apart(found: list[Prior]) -> Iterator[Prior]:
    """No two with one title: of several kits with one name each has its folder behind it."""
    titles = Counter(prior.title for prior in found)
    longer = Counter((prior.title, Path(prior.name).name) for prior in found)
    for prior in found:
        folder = Path(prior.name)
        behind = folder.name if longer[prior.title, folder.name] == 1 else str(folder)
        title = f"{prior.title} ({behind})" if titles[prior.title] > 1 and prior is not SHIPPED else prior.title
        yield Prior(name=prior.name, title=title, description=prior.description, kit=prior.kit)
