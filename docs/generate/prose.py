"""Docstrings and included files as Markdown of the site."""

from __future__ import annotations

import inspect
import re
from typing import Any

from latex2mathml.converter import convert

FORMULA = re.compile(r"^\$\$(.+?)\$\$$", re.MULTILINE | re.DOTALL)


def prose(documented: Any) -> str:
    """A docstring, or that of a module or a class, as Markdown: its lists get the blank line before them."""
    text = documented if isinstance(documented, str) else documented.__doc__ or ""
    lines: list[str] = []
    for line in inspect.cleandoc(text).splitlines():
        before = lines[-1] if lines else ""
        starts_a_list = line.startswith("* ") and before and not before.startswith(("*", " "))
        lines += ["", line] if starts_a_list else [line]
    return "\n".join(line if line.startswith("    ") else _plain(line) for line in lines) + "\n"


def _plain(line: str) -> str:
    """Text in which nothing but code in backticks is markup."""
    bullet, text = ("* ", line[2:]) if line.startswith("* ") else ("", line)
    parts = re.split(r"(`[^`]*`)", text)
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([*_<])", r"\\\1", parts[index]) if not text.startswith("#") else parts[index]
    return bullet + "".join(parts)


def formula(latex: str) -> str:
    """A formula on a line of its own, as MathML, which browsers draw without any script."""
    return f'<div class="formula">{convert(latex, display="block")}</div>'


def with_formulas(markdown: str) -> str:
    """A page whose $$...$$ at the start of a line are drawn."""
    return FORMULA.sub(lambda found: formula(found[1].strip()), markdown)
