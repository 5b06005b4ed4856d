"""What models there are: in the hub's cache, in the user's folders, in those of other programs, and on offer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from huggingface_hub.repocard import metadata_load

from backend.hub.layout import CARD, INDEX, START_SHAPES, UNUSED_PARTS, ModelError, missing_files, pipeline_of
from backend.hub.suggested import LICENCES, SUGGESTED
from backend.models.families import CARD_FAMILIES, card_family_of_folder, family_of_folder
from backend.models.fitting import fit, this_card
from backend.models.folders import added_folders, models_in, program_folders
from backend.models.single_files import describe
from shared.models import Card, Fit, Listing, Model, Offer, Source


def listing() -> Listing:
    """Look everywhere.  FolderError where the list of added folders is damaged."""
    card, added = this_card(), added_folders()
    places = [*map(Path, added), *program_folders()]
    found = {path.resolve(): path for place in places for path in models_in(place)}
    cache = Path(constants.HF_HUB_CACHE)
    models = [*_in_cache(cache, card), *(_on_disk(path, card) for path in found.values())]
    whole = {model.name for model in models if model.whole}
    offers = (
        Offer(
            name=one.name,
            family=one.family,
            size=one.size,
            licence=one.licence,
            here=one.name in whole,
            fit=fit(CARD_FAMILIES[one.family], card),
        )
        for one in SUGGESTED
    )
    return Listing(
        models=tuple(models),
        suggested=tuple(offers),
        card=card,
        folders=added,
        cache=str(cache),
        offline=bool(constants.HF_HUB_OFFLINE),
    )


def _in_cache(cache: Path, card: Card | None) -> Iterator[Model]:
    """The models in diffusers' format in the hub's cache; files that are half fetched count in their size."""
    try:
        scanned = scan_cache_dir(cache)
    except (CacheNotFound, ValueError):  # none yet, or a file in its place
        return
    for repository in sorted(scanned.repos, key=lambda one: one.repo_id):
        newest = max(repository.revisions, key=lambda one: ("main" in one.refs, one.last_modified), default=None)
        if repository.repo_type != "model" or newest is None or not (newest.snapshot_path / INDEX).is_file():
            continue
        partial = [one for one in scanned.incomplete_files if repository.repo_path in one.file_path.parents]
        size = repository.size_on_disk + sum(one.size_on_disk for one in partial)
        yield _folder_model(newest.snapshot_path, repository.repo_id, "hub", size, card)


def _on_disk(path: Path, card: Card | None) -> Model:
    """A folder or a single file that lies in one of the searched folders."""
    if path.is_dir():
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return _folder_model(path, str(path), "folder", size, card)
    found = describe(path)
    family = None if found.lora else CARD_FAMILIES.get(found.family)
    return Model(
        name=str(path),
        source="LoRA" if found.lora else "file",
        family=found.family,
        size=path.stat().st_size,
        licence=found.licence,
        whole=found.whole,
        fit=Fit(None, "") if found.lora else fit(family, card),
        problem=found.problem,
    )


def _folder_model(folder: Path, name: str, source: Source, size: int, card: Card | None) -> Model:
    problem, lacks = "", ["everything"]
    try:
        pipeline, parts = pipeline_of(name, folder / INDEX, {**UNUSED_PARTS, **START_SHAPES})
        lacks = missing_files(folder, parts)
        if pipeline in START_SHAPES:
            problem = f"{name} makes shapes to start from, and is no prior."
        if lacks:
            problem = f"{name} lacks {lacks[0]}{' and more' if lacks[1:] else ''}: download it again, which goes on."
    except ModelError as error:
        problem = f"{error}."
    offered = next((one.family for one in SUGGESTED if one.name == name), "")
    family = family_of_folder(folder) or offered
    return Model(
        name=name,
        source=source,
        family=family,
        size=size,
        licence=_licence(folder) or LICENCES.get(name, ""),
        whole=not lacks,
        fit=fit(card_family_of_folder(folder) or CARD_FAMILIES.get(family), card),
        problem=problem,
    )


def _licence(folder: Path) -> str:
    """The licence by the front matter of the model's card; "" where there is none that can be read."""
    try:
        content = metadata_load(folder / CARD)
    except Exception:  # no card, or one that is not YAML: of the many exceptions of its readers none matters here
        return ""
    found = content.get("license_name") or content.get("license") if isinstance(content, dict) else None
    return str(found or "")
