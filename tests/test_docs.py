"""What the documentation site is made of: tables from structs, links, pictures, and how its environment is set up."""

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from backend.guidance.rules import RULES
from backend.job.recipe import Recipe
from backend.priors.base import Prior
from docs.generate import fields, formulas, links, pictures
from shared import messages
from tools.docs import documentation
from tools.environments import environments

ROOT = Path(__file__).parents[1]
needs_the_sites_packages = pytest.mark.skipif(
    importlib.util.find_spec("latex2mathml") is None, reason="needs the packages of the group docs"
)


class Sample(msgspec.Struct, kw_only=True):
    """Of all kinds of fields."""

    share: Annotated[float, Meta(ge=0, lt=1, description="How much")] = 0.5
    kind: Literal["a", "b"] = "a"  # which | one
    # Said above it,
    # in two lines.
    name: str | None = None
    made: messages.OrderId = msgspec.field(default_factory=messages.new_job_id)
    seed: Annotated[int, Meta(lt=2**62)]


def test_a_table_says_all_of_a_field():
    assert fields.table(Sample).splitlines()[2:] == [
        "| `share` | float | `0.5` | ≥ 0, < 1 | How much |",
        '| `kind` | `a`, `b` | `"a"` |  | which \\| one |',
        "| `name` | text or nothing | `null` |  | Said above it, in two lines. |",
        "| `made` | text | drawn | `^[0-9a-f]{32}$` |  |",
        "| `seed` | int |  | < 2^62 |  |",
    ]


def test_every_field_of_a_recipe_has_a_row():
    rows = fields.table(Recipe).splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(Recipe.__struct_fields__)
    assert "| `steps` | int | `600` | ≥ 1, ≤ 100,000 |  |" in rows


def test_a_protocols_fields_have_their_comments():
    assert "| `alphas_cumprod` | `Tensor` | (T,) ᾱ_t, decreasing |" in fields.short_table(Prior)


def test_every_rule_has_a_formula():
    assert formulas.FORMULAS.keys() == RULES.keys()


@pytest.mark.parametrize(
    ("origin", "page", "written", "read"),
    [
        ("README.md", "readme.md", "docs/toy.md", "toy.md"),
        ("README.md", "readme.md", "CONTRIBUTING.md#adding-an-objective", "contributing.md#adding-an-objective"),
        ("README.md", "readme.md", "backend/run/distill.py", "source/backend/run/distill.md"),
        ("docs/objectives.md", "objectives.md", "../backend/priors/base.py", "source/backend/priors/base.md"),
        ("docs/examples/index.md", "examples/index.md", "01_own_rule.md", "01_own_rule.md"),
        ("prior_data/README.md", "prior_data.md", "../README.md", "readme.md"),
    ],
)
def test_a_link_of_the_repository_leads_to_a_page(origin, page, written, read):
    assert links.in_site(f"[it]({written})", origin, page, {"examples/01_own_rule.md"}.__contains__) == f"[it]({read})"


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_its_pictures(rule):
    assert pictures.of_splats(rule).startswith(b"\x89PNG")
    assert pictures.of_plain_pictures(rule).startswith(b"\x89PNG")


@needs_the_sites_packages
def test_a_docstrings_lists_are_lists_and_its_signs_are_text():
    from docs.generate.prose import prose

    assert (
        prose("First:\n* a_b `c*d`\n  e\n* <f>\n\n    g * h") == "First:\n\n* a\\_b `c*d`\n  e\n* \\<f>\n\n    g * h\n"
    )


def test_the_sites_packages_are_a_group_of_the_backends_environment():
    environment, (backend, _) = documentation(ROOT), environments(ROOT)
    assert environment.folder == backend.folder
    assert environment.groups["run"] == backend.groups["run"]
    assert {line.split("==")[0] for line in environment.groups["docs"]} == {
        "mkdocs",
        "mkdocs-material",
        "mkdocstrings-python",
        "latex2mathml",
    }
