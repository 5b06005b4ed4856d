"""A job in layers: a job file, and what is said over it.  What is said later wins.

A run's own job file holds every setting, so that it gives the same run again.  Which of them somebody chose is in its
`said`; all others were taken from the tables for its objective, prior, quality and so on, and follow these where they
are chosen anew.  What was chosen stays: a number of steps is more than a quality.  But the options of one objective are
nothing to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from backend.job.job import Job, is_complete, merged
from backend.job.tuning import QUALITIES, default_recipe

Fields = dict[str, Any]
Path = tuple[str, ...]
CHOICES = ("objective", "prior", "quality", "keep_shape", "init_mesh")  # what a recipe is taken from the tables for


def over(file: Fields, later: Fields) -> tuple[Fields, list[str]]:
    """The fields of a job file with those said later over them, and sentences on what one may not expect of them."""
    recipe = later.get("recipe", {})
    before = {name: file.get(name, _default(name)) for name in CHOICES}
    chosen = {name: later[name] for name in CHOICES if name in later}
    if all(before[name] == value for name, value in chosen.items()) or not isinstance(file.get("recipe", {}), dict):
        return _laid(file, later, file.get("recipe", {}), file.get("said"), recipe), []
    said = said_of(file)
    notes = [*_kept(said, recipe, before, chosen)]
    if chosen.get("objective", before["objective"]) != before["objective"] and "options" in said:
        options = ", ".join(f"recipe.options.{name}" for name in said["options"])
        notes.append(f"Not kept of the job file: {options}; it is of {before['objective']}.")
        said = {name: value for name, value in said.items() if name != "options"}
    return _laid(file, later, said, said, recipe), notes


def _kept(said: Fields, recipe: Any, before: Fields, chosen: Fields) -> Iterator[str]:
    """Where the job file sets what a word that is said later is about."""
    new = set(dict(_leaves(recipe))) if isinstance(recipe, dict) else set()
    for name, values in (("quality", QUALITIES), ("keep_shape", (0.0, 1.0))):
        if name not in chosen:
            continue
        with_mesh = {**before, **chosen, "init_mesh": "a mesh"}
        about = _differing([_tuned({**with_mesh, name: value}) for value in values])
        if names := [f"recipe.{'.'.join(path)}" for path, _ in _leaves(said) if path in about - new]:
            yield f"Kept as the job file says, whatever {name} is: {', '.join(names)}."


def said_of(file: Fields) -> Fields:
    """What somebody chose of a job file's recipe; of an older file's, all that is not as in the tables."""
    recipe = file.get("recipe", {})
    if isinstance(said := file.get("said"), dict):
        return said
    if not is_complete(recipe):
        return dict(recipe)
    tuned = dict(_leaves(_tuned({name: file.get(name, _default(name)) for name in CHOICES})))
    return _nested({path: value for path, value in _leaves(recipe) if path not in tuned or tuned[path] != value})


def _laid(file: Fields, later: Fields, below: Any, said: Any, recipe: Any) -> Fields:
    """The layers on each other; the recipe's, and of what is said in it, one by one."""
    fields = {name: value for name, value in {**file, **later}.items() if name not in ("recipe", "said")}
    if below or recipe:
        fields["recipe"] = merged(below, recipe) if isinstance(recipe, dict) else recipe
    if isinstance(said, dict) and isinstance(recipe, dict):
        fields["said"] = merged(said, recipe)
    return fields


def _default(name: str) -> Any:
    return next(field.default for field in msgspec.structs.fields(Job) if field.name == name)


def _tuned(choice: Fields) -> Fields:
    """The tables' recipe; a choice that there is not is refused elsewhere, by name."""
    keep = choice["keep_shape"] if choice["init_mesh"] and isinstance(choice["keep_shape"], int | float) else 0.0
    quality = choice["quality"] if choice["quality"] in QUALITIES else _default("quality")
    recipe = default_recipe(str(choice["objective"]), str(choice["prior"]), quality, keep)
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
