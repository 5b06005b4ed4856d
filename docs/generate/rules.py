"""A page for each rule: formula, pictures, docstring, options; and a table of all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from backend.guidance.rules import RULES
from backend.job.tuning import default_recipe
from backend.priors.kit import EMBEDDED
from backend.service.capabilities import objective
from docs.generate import fields, pictures
from docs.generate.formulas import FORMULAS
from docs.generate.prose import formula, prose

Pages = Iterator[tuple[str, str | bytes]]
LARGE = "large"  # any name that is no kit's
SHEETS = {
    "splats": "Splats: eight prompts, four seeds of each, 1,600 pictures through the prior a run",
    "pictures": "Plain pictures without any splats: two prompts, two pictures of each",
}
INDEX = """# The rules

A rule turns what the prior says of noisy pictures into a gradient on the clean ones. Classifier-free guidance of scale
`s` is `eps_hat = eps_away + s (eps_y - eps_away)`, away from the negative prompt, or from no prompt.
[How they compare](../objectives.md), and what they do on [eight Gaussians](../toy.md).

"""


def pages() -> Pages:
    """Paths below the site's root, and what is there."""
    yield "rules/index.md", _index()
    for name in RULES:
        drawn = {"splats": pictures.of_splats(name), "pictures": pictures.of_plain_pictures(name)}
        yield f"rules/{name}.md", _page(name, [kind for kind, png in drawn.items() if png])
        yield from ((f"rules/{name}-{kind}.png", png) for kind, png in drawn.items() if png)


def _index() -> str:
    lines = ["| | | a step |", "|---|---|---|"]
    for name, rule in RULES.items():
        said = objective(name)
        cost = (rule.__doc__ or "").strip().splitlines()[0]
        lines.append(f"| [`{name}`]({name}.md) | {said.title}: {fields.cell(said.description)} | {fields.cell(cost)} |")
    return INDEX + "\n".join(lines) + "\n"


def _page(name: str, drawn: list[str]) -> str:
    rule, said = RULES[name], objective(name)
    module = sys.modules[rule.__module__]
    rest = (module.__doc__ or "").strip().partition("\n")[2]
    parts = [
        f"# {said.title}\n\n{prose(said.description[:1].upper() + said.description[1:])}",
        *map(formula, FORMULAS.get(name, ())),
    ]
    parts += [f"![{SHEETS[kind]}]({name}-{kind}.png)\n\n{SHEETS[kind]}." for kind in drawn]
    parts += ["## What it does", prose(rest), f"Cost: {prose(rule)}", "## Options", _options(name)]
    parts += ["## Recipe", _recipe(name)]
    path = rule.__module__.replace(".", "/")
    parts.append(f"Source: [{path}.py](../source/{path}.md)")
    return "\n\n".join(parts) + "\n"


def _options(name: str) -> str:
    """Every option, with the defaults of the rule and of its two recipes."""
    tuned = [default_recipe(name, prior).options for prior in (EMBEDDED, LARGE)]
    lines = ["| option | type | default | on kits | on large priors | limits | |", "|---|---|---|---|---|---|---|"]
    for field in fields.fields(RULES[name].Options, {}):
        here = " | ".join(f"`{_json(of[field.name])}`" if field.name in of else "" for of in tuned)
        lines.append(
            f"| `{field.name}` | {field.kind} | {field.default} | {here} | {field.limits} | {field.description} |"
        )
    return "In a job: `recipe.options.NAME`.\n\n" + "\n".join(lines)


def _recipe(name: str) -> str:
    """What else its recipes set that the plain ones do not."""
    said = []
    for prior, words in ((EMBEDDED, "kits"), (LARGE, "large priors")):
        plain, own = (dict(_leaves(msgspec.to_builtins(default_recipe(rule, prior)))) for rule in ("sds", name))
        changed = [f"`{key}` {_json(value)}" for key, value in own.items() if plain.get(key) != value]
        said.append(f"* On {words}: {', '.join(changed) if changed else 'as `sds`'}.")
    return "Beside its options, and in difference from `sds`:\n\n" + "\n".join(said)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if (path, key) != ("", "options"):
                yield from _leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
