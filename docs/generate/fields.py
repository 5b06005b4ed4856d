"""Tables of a struct's fields, as msgspec knows them: type, default, limits, and the line that describes each.

The description is the one of the field's `Meta`, or else the comment beside or above it in the source.
"""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
import numpy as np
from msgspec import Meta, UnsetType

Struct = type[msgspec.Struct]
WORDS: dict[Any, str] = {str: "text", bool: "yes or no", dict: "object", Any: "anything", type(None): "nothing"}
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥", "max_length": "length ≤"}


@dataclass(frozen=True)
class Field:
    """One row of a table, each cell as Markdown; `default` is "" where there is none."""

    name: str
    kind: str
    default: str
    limits: str
    description: str


def table(struct: Struct, links: dict[Struct, str] | None = None) -> str:
    """A Markdown table of all fields; those whose type is a key of `links` lead there."""
    rows = list(fields(struct, links or {}))
    if not rows:
        return "No fields.\n"
    lines = ["| field | type | default | limits | |", "|---|---|---|---|---|"]
    lines += [f"| `{f.name}` | {f.kind} | {f.default} | {f.limits} | {f.description} |" for f in rows]
    return "\n".join(lines) + "\n"


def fields(struct: Struct, links: dict[Struct, str]) -> Iterator[Field]:
    """Every field of a struct, in its order."""
    said = comments(struct)
    for field in msgspec.structs.fields(struct):
        metas = list(_metas(field.type))
        described = next((meta.description for meta in metas if meta.description), said.get(field.name, ""))
        kind = cell(type_text(field.type, links))
        yield Field(field.name, kind, cell(_default(field)), cell(_limits(metas)), cell(described))


def cell(text: str) -> str:
    """Text that ends no cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def type_text(kind: Any, links: dict[Struct, str]) -> str:
    """A type in a few words."""
    if kind in links:
        return f"[{kind.__name__}]({links[kind]})"
    if get_origin(kind) is None or kind is dict:
        return WORDS.get(kind) or str(kind.__name__)
    return _compound(get_origin(kind), get_args(kind), links)


def _compound(origin: Any, inside: tuple[Any, ...], links: dict[Struct, str]) -> str:
    """A type that is made of others."""
    if origin is Annotated:
        return type_text(inside[0], links)
    if origin in (Union, types.UnionType):
        return " or ".join(type_text(part, links) for part in inside if part is not UnsetType)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in inside)
    if origin is np.ndarray:
        return f"array of {np.dtype(get_args(inside[1])[0]).name}"
    if origin is tuple and inside[-1] is Ellipsis:
        return f"list of {type_text(inside[0], links)}"
    return "object" if origin is dict else f"({', '.join(type_text(part, links) for part in inside)})"


def _metas(kind: Any) -> Iterator[Meta]:
    """All that is said of a type's values, the outermost first."""
    if get_origin(kind) is Annotated:
        inner, *said = get_args(kind)
        yield from (one for one in reversed(said) if isinstance(one, Meta))
        yield from _metas(inner)
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _metas(part)


def _limits(metas: list[Meta]) -> str:
    said = ((sign, getattr(meta, key)) for meta in metas for key, sign in LIMITS.items())
    found = [f"{sign} {_number(value)}" for sign, value in said if value is not None]
    return ", ".join(found + [f"`{meta.pattern}`" for meta in metas if meta.pattern])


def _number(value: float) -> str:
    """With commas, or as a power of two where that is what it is."""
    power = int(value).bit_length() - 1
    return f"2^{power}" if power > 40 and value == 2**power else f"{value:,}"


def _default(field: Any) -> str:
    if field.default_factory is not msgspec.NODEFAULT and field.default_factory is not dict:
        return "drawn" if inspect.isfunction(field.default_factory) else "its own"
    value = {} if field.default_factory is dict else field.default
    if value is msgspec.NODEFAULT or value is msgspec.UNSET:
        return ""
    first = value[0] if isinstance(value, tuple) and value else value
    if isinstance(first, msgspec.Struct):
        return "its own"
    return f"`{msgspec.json.encode(value).decode()}`"


def short_table(documented: type) -> str:
    """A Markdown table of the fields of a protocol or a dataclass: type and comment."""
    said = _comments(textwrap.dedent(inspect.getsource(documented)))
    kinds = {name: str(documented.__annotations__[name]).replace(" | ", " or ") for name in said}
    return "| field | type | |\n|---|---|---|\n" + "".join(
        f"| `{name}` | `{kinds[name]}` | {cell(text).replace('<', '&lt;')} |\n" for name, text in said.items()
    )


def comments(struct: Struct) -> dict[str, str]:
    """What stands beside each field of a struct and of those that it is made from, or in the lines above it."""
    found: dict[str, str] = {}
    for base in reversed(struct.__mro__):
        if issubclass(base, msgspec.Struct) and base is not msgspec.Struct:
            found |= _comments(textwrap.dedent(inspect.getsource(base)))
    return found


def _comments(source: str) -> dict[str, str]:
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    beside = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    alone = {t.start[0] for t in tokens if t.type == tokenize.COMMENT and not t.line[: t.start[1]].strip()}
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            line = node.lineno
            while line - 1 in alone:
                line -= 1
            above = " ".join(beside[number] for number in range(line, node.lineno))
            found[node.target.id] = beside.get(node.end_lineno or 0, above)
    return found
