"""The examples' pages: a script's docstring and the script; a notebook's cells in their order."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from docs.generate.prose import prose

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples"
PICTURES = ROOT / "docs" / "examples"


def pages() -> Iterator[tuple[str, str | bytes]]:
    """Paths below the site's root, and what is there."""
    for file in sorted(FOLDER.glob("[0-9][0-9]_*.py")):
        source = file.read_text(encoding="utf-8")
        yield f"examples/{file.stem}.md", _script(file.name, source)
    for file in sorted(FOLDER.glob("*.ipynb")):
        yield f"examples/{file.stem}.md", _notebook(file.name, json.loads(file.read_text(encoding="utf-8")))


def _script(name: str, source: str) -> str:
    said = ast.get_docstring(tree := ast.parse(source)) or ""
    code = source.splitlines(keepends=True)[tree.body[0].end_lineno :]
    return f'{prose(said)}\n\n{_picture(name)}```python title="examples/{name}"\n{"".join(code).strip()}\n```\n'


def _notebook(name: str, notebook: dict[str, list[dict[str, str]]]) -> str:
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(f"```python\n{text}\n```" if cell["cell_type"] == "code" else text)
    parts.insert(1, f"{_picture(name)}The notebook: `examples/{name}`.")
    return "\n\n".join(parts) + "\n"


def _picture(name: str) -> str:
    """What an example makes in 150 steps, where docs/examples holds a picture of it."""
    file = f"{Path(name).stem}.png"
    return f"![What it makes]({file})\n\n" if (PICTURES / file).exists() else ""
