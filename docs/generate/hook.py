"""What mkdocs calls: pages made of the code are added, and links between the repository's files are made to fit.

`mkdocs.yml` names this file.  It needs the backend's environment: tables are made of the very structs that a run uses.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from backend.guidance.rules import RULES
from docs.generate import examples, links, reference, rules
from docs.generate.fields import short_table
from docs.generate.prose import with_formulas

FIELDS = re.compile(r"^\[\[fields of (\S+)\]\]$", re.MULTILINE)
LOADED = re.compile(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^>]*>")
ORIGINS = {page: file for file, page in links.INCLUDED.items()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu gets a line for each rule, and one for each example."""
    made = {
        "Rules": [{name: f"rules/{name}.md"} for name in RULES],
        "Examples": [path for path, _ in examples.pages()],
    }
    for entry in config.nav or ():
        for name, pages in entry.items() if isinstance(entry, dict) else ():
            if name in made:
                pages.extend(made[name])
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is generated, and what is included from outside docs/."""
    included = {page: (links.ROOT / file).read_text(encoding="utf-8") for page, file in ORIGINS.items()}
    made: dict[str, Any] = {**dict(rules.pages()), **dict(reference.pages()), **dict(examples.pages()), **included}
    made |= links.sources(_linked(files, made))
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def _linked(files: Files, made: dict[str, Any]) -> list[str]:
    """Every source that a page links to: by hand-written pages through their links, by rules through their own."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    texts |= {file: (links.ROOT / file).read_text(encoding="utf-8") for file in links.INCLUDED}
    found = {rule.__module__.replace(".", "/") + ".py" for rule in RULES.values()}
    for origin, text in texts.items():
        for target in links.LINK.findall(text):
            path = links.joined(origin, target.partition("#")[0])
            if ":" not in target and links.has_source_page(path):
                found.add(path)
    return sorted(found)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Draw formulas; move links, of all pages that are not generated."""
    path = page.file.src_uri
    origin = ORIGINS.get(path, f"docs/{path}")
    if (links.ROOT / origin).is_file():
        there = {file.src_uri for file in files}
        markdown = links.in_site(markdown, origin, path, there.__contains__)
    return with_formulas(FIELDS.sub(lambda found: short_table(_named(found[1])), markdown))


def _named(path: str) -> type:
    module, _, name = path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def on_post_build(config: MkDocsConfig) -> None:
    """Nothing on the site asks another host for a script, a style, a font or a picture."""
    for file in Path(config.site_dir).rglob("*.html"):
        if found := LOADED.search(file.read_text(encoding="utf-8")):
            raise PluginError(f"{file} loads something from another host: {found[0]}")
