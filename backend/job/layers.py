"""A job file with later settings over it, such as those of the command line.  The later ones win.

A run's job file holds every setting, so that it gives the same run again.  Those that the user chose are in its `said`;
all others come from the tables for its objective, prior, quality and so on, and are looked up again where one of these
changes.  Chosen settings stay: a number of steps overrides a quality.  But the options of one objective are dropped
when another objective is chosen, and what the file says of the start when another start is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from backend.job.job import Job, is_complete, merged
from backend.job.tuning import QUALITIES, default_recipe

Fields = dict[str, Any]
Path = tuple[str, ...]
# The keys of the tables of recipes.
CHOICES = ("objective", "prior", "quality", "scene", "keep_shape", "init_mesh", "start", "start_from")
START = ("start", "start_from", "init_mesh")  # what chooses a start
ABOUT_START = (*START, "start_prior", "start_by_default")


def over(file: Fields, later: Fields) -> tuple[Fields, list[str]]:
    """The fields of a job file with later ones over them, and sentences on what the user may not expect."""
    recipe = later.get("recipe", {})
    before = {name: file.get(name, _default(name)) for name in CHOICES}
    chosen = {name: later[name] for name in CHOICES if name in later}
    file = _without_old_start(file, later, chosen.get("prior", before["prior"]) != before["prior"])
    if all(before[name] == value for name, value in chosen.items()) or not isinstance(file.get("recipe", {}), dict):
        return _merged(file, later, file.get("recipe", {}), file.get("said"), recipe), []
    kept = chosen_settings(file)
    notes = [*_kept(kept, recipe, before, chosen)]
    if chosen.get("objective", before["objective"]) != before["objective"] and "options" in kept:
        options = ", ".join(f"recipe.options.{name}" for name in kept["options"])
        notes.append(f"Dropped from the job file: {options}, set for {before['objective']}.")
        kept = {name: value for name, value in kept.items() if name != "options"}
    return _merged(file, later, kept, kept, recipe), notes


def _without_old_start(file: Fields, later: Fields, other_prior: bool) -> Fields:
    """The file without what it says of the start, where another is chosen or the default was for another prior."""
    dropped: tuple[str, ...] = ()
    if any(name in later for name in START) or (other_prior and file.get("start_by_default")):
        dropped = ABOUT_START
    elif "start_prior" in later:
        dropped = ("start_by_default",)
    return {name: value for name, value in file.items() if name not in dropped}


def _kept(said: Fields, recipe: Any, before: Fields, chosen: Fields) -> Iterator[str]:
    """A sentence where the job file's own settings override a quality or keep_shape that was given later."""
    new = set(dict(_leaves(recipe))) if isinstance(recipe, dict) else set()
    for name, values in (("quality", QUALITIES), ("keep_shape", (0.0, 1.0))):
        if name not in chosen:
            continue
        with_mesh = {**before, **chosen, "init_mesh": "a mesh"}
        about = _differing([_tuned({**with_mesh, name: value}) for value in values])
        if names := [f"recipe.{'.'.join(path)}" for path, _ in _leaves(said) if path in about - new]:
            yield f"Kept as set in the job file, whatever the {name}: {', '.join(names)}."


def chosen_settings(file: Fields) -> Fields:
    """The settings of a job file's recipe that the user chose; for an older file, those that differ from the tables."""
    recipe = file.get("recipe", {})
    if isinstance(said := file.get("said"), dict):
        return said
    if not is_complete(recipe):
        return dict(recipe)
    tuned = dict(_leaves(_tuned({name: file.get(name, _default(name)) for name in CHOICES})))
    return _nested({path: value for path, value in _leaves(recipe) if path not in tuned or tuned[path] != value})


def _merged(file: Fields, later: Fields, below: Any, said: Any, recipe: Any) -> Fields:
    """The later fields over the file's; `recipe` and `said` are merged setting by setting."""
    fields = {name: value for name, value in {**file, **later}.items() if name not in ("recipe", "said")}
    if below or recipe:
        fields["recipe"] = merged(below, recipe) if isinstance(recipe, dict) else recipe
    if isinstance(said, dict) and isinstance(recipe, dict):
        fields["said"] = merged(said, recipe)
    return fields


def _default(name: str) -> Any:
    return next(field.default for field in msgspec.structs.fields(Job) if field.name == name)


def _tuned(choice: Fields) -> Fields:
    """The tables' recipe; an invalid choice is refused elsewhere, by name."""
    shaped = choice["init_mesh"] or choice["start_from"] or choice["start"] != "sphere"
    keep = choice["keep_shape"] if shaped and isinstance(choice["keep_shape"], int | float) else 0.0
    quality = choice["quality"] if choice["quality"] in QUALITIES else _default("quality")
    recipe = default_recipe(str(choice["objective"]), str(choice["prior"]), quality, keep, str(choice["scene"]))
    found: Fields = msgspec.json.decode(msgspec.json.encode(recipe))
    return found


def _differing(recipes: list[Fields]) -> set[Path]:
    first, *others = (dict(_leaves(recipe)) for recipe in recipes)
    return {path for path, value in first.items() if any(other.get(path) != value for other in others)}


def _leaves(tree: Fields, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _nested(leaves: dict[Path, Any]) -> Fields:
    tree: Fields = {}
    for path, value in leaves.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return tree
