"""Who may import whom: the imports of every file, read from its syntax tree, against the rules of the house."""

import ast
import graphlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.on_gpu import STAGES as ON_GPU

ROOT = Path(__file__).parents[1]
ROOMS = ("backend", "blender_addon", "shared", "tools", "prior_data")


@dataclass(frozen=True)
class Rule:
    """Modules under `who` (without those under `others`) never import what is under `never`, unless under `but`."""

    who: str
    never: tuple[str, ...]
    but: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


SPLATS, BASES = "backend.scenes.splats", ("backend.guidance.base", "backend.priors.base", "backend.scenes.base")
# Nothing in a room imports from a room after it.  The first are single files.
BACKEND = (
    "errors", "files", "cards", "cameras", "state", "tensors", "terminal",
    "hub", "render", "scenes", "priors", "models", "guidance", "job", "export", "kits", "run", "service", "view",
    "studies", "cli",
)  # fmt: skip
BLENDER = ("bpy", "mathutils", "gpu", "bpy_extras", "gpu_extras", "addon_utils")
NET = ("blender_addon.shared", "blender_addon.net")
SCENE = (*NET, "blender_addon.scene")
VIEW = (*SCENE, "blender_addon.view")
UI = (*VIEW, "blender_addon.ui")
RULES = (
    Rule("shared", ("bpy", "torch", "backend", "blender_addon")),
    Rule("shared", ("zmq",), others=("shared.dealer",)),
    Rule("backend", ("bpy", "mathutils", "blender_addon", "tools", "prior_data", "tests")),
    *(
        Rule(f"backend.{room}", tuple(f"backend.{after}" for after in BACKEND[number + 1 :]))
        for number, room in enumerate(BACKEND)
    ),
    Rule("backend.studies", ("backend.service",)),
    Rule(
        "backend.guidance",
        ("backend",),
        but=("backend.guidance", "backend.priors.base", "backend.state", "backend.tensors"),
    ),
    Rule("backend.run.distill", ("backend.guidance", "backend.priors", "backend.scenes"), but=BASES),
    Rule("backend.view", ("backend.service",)),
    Rule(
        "backend",
        ("zmq",),
        others=(
            "backend.service.keys",
            "backend.service.serve",
            "backend.service.server",
            "backend.view.connection",
        ),
    ),
    Rule(
        "backend",
        ("ray",),
        others=("backend.service.gateway", "backend.service.executors.ray", "backend.service.executors.ray_nodes"),
    ),
    Rule("backend.service.serve", ("backend.service.gateway", "backend.service.executors.ray")),
    Rule("blender_addon", ("torch", "diffusers", "backend", "tools", "prior_data", "tests")),
    # The add-on's rooms, the lowest first: none imports from one above it, and `net` and `ply` work without Blender.
    Rule("blender_addon.net", BLENDER),
    Rule("blender_addon.scene.ply", BLENDER),
    Rule("blender_addon.net", ("blender_addon",), but=NET),
    Rule("blender_addon.scene", ("blender_addon",), but=SCENE),
    Rule("blender_addon.view", ("blender_addon",), but=VIEW),
    Rule("blender_addon.ui", ("blender_addon",), but=UI),
    Rule("blender_addon", ("zmq",), others=("blender_addon.net.client", "blender_addon.net.connection")),
    # Nor do others get at sockets through the module that makes them.
    Rule(
        "backend",
        ("shared.dealer",),
        others=("backend.view.command", "backend.view.connection", "backend.view.server_page"),
    ),
    Rule(
        "blender_addon",
        ("blender_addon.shared.dealer",),
        others=("blender_addon.net.client", "blender_addon.net.connection"),
    ),
    Rule("prior_data", ("zmq", "backend.guidance", "blender_addon", "tools")),
)


def under(module, tops):
    return any(module == top or module.startswith(top + ".") for top in tops)


def module_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))}


def imports(source, module, is_package=False):
    """The modules that a source names, relative ones resolved: `from a import b` is a.b where that is a module."""
    found = set()
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            near = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*near, *([node.module] if node.module else [])])
            found |= {f"{base}.{n.name}" if f"{base}.{n.name}" in FILES else base for n in node.names}
    return found


def violations(module, imported):
    return [
        f"{module} imports {name}"
        for rule in RULES
        if under(module, [rule.who]) and not under(module, rule.others)
        for name in sorted(imported)
        if under(name, rule.never) and not under(name, rule.but)
    ]


def imports_of(module):
    file = FILES[module]
    return imports(file.read_text(encoding="utf-8"), module, file.name == "__init__.py")


@pytest.mark.parametrize("module", FILES)
def test_a_module_keeps_the_rules(module):
    assert violations(module, imports_of(module)) == []


def test_every_room_of_the_backend_is_in_the_order():
    assert {m.split(".")[1] for m in FILES if m.startswith("backend.")} - {"__main__"} == set(BACKEND)


def test_no_files_import_each_other_in_a_circle():
    graphlib.TopologicalSorter({m: imports_of(m) & FILES.keys() for m in FILES}).prepare()


# The add-on's bench is started by the front door, in Blender's Python.  One file of the backend tells it of the cards.
# The stages of tools/on_gpu.py are processes of their own, where the backend is.
CARDS = "backend.cards"
STAGES = [f"tools.gpu.{stage}" for stage in (*ON_GPU, "models", "holder")]
FRONT_DOOR = [
    *("build", "backend", CARDS),
    *(m for m in FILES if under(m, ["tools"]) and m != "tools.bench_addon" and m not in STAGES),
]


@pytest.mark.parametrize("module", FRONT_DOOR)
def test_the_front_door_needs_the_standard_library_alone(module):
    imported = imports_of(module) if module in FILES else imports((ROOT / "build.py").read_text(), "build")
    strange = {name for name in imported - {CARDS} if name.split(".")[0] not in {*sys.stdlib_module_names, "tools"}}
    assert strange == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("shared.codec", "import torch"),
        ("backend.scenes.ply", "import bpy"),
        ("backend.scenes.ply", "def late():\n    from mathutils import Vector"),
        ("backend.guidance.rules.sds", "from backend.priors import catalogue"),
        ("backend.guidance.rules.sds", "from ...priors.catalogue import Catalogue"),
        ("backend.guidance.rules.sds", "from backend.job.recipe import Recipe"),
        ("backend.priors.catalogue", "from backend.guidance.base import Conditions"),
        ("backend.scenes.density", "import backend.guidance.rules.sds"),
        ("backend.run.distill", "from backend.priors.catalogue import Catalogue"),
        ("backend.run.distill", f"from {SPLATS} import Splats"),
        ("backend.service.jobs", "import zmq"),
        ("backend.service.executors.cluster", "import ray"),
        ("backend.run.folder", "from backend.studies import compare"),
        ("backend.priors.kit", "from backend.job.recipe import Recipe"),
        ("blender_addon.timer", "import torch.nn as nn"),
        ("blender_addon.net.state", "from ..scene import placing"),
        ("blender_addon.net.state", "from mathutils import Matrix"),
        ("blender_addon.scene.results", "from ..view.live_view import live_view"),
        ("blender_addon.view.live_view", "from ..ui import drawing"),
        ("blender_addon.ui.panels", "from .. import timer"),
        ("blender_addon.ui.panels", "from ..timer import tick"),
        ("blender_addon.scene.importers.splats", "from backend.scenes import ply"),
        ("blender_addon.net.client", "import bpy"),
        ("blender_addon.timer", "from zmq import Context"),
        ("blender_addon.timer", "from .shared.dealer import dealer"),
        ("backend.run.session", "from shared import dealer"),
    ],
)
def test_a_violation_is_caught(module, source):
    assert violations(module, imports(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("backend.guidance.rules.sds", "from backend.priors.base import Prior\nfrom backend.guidance import base"),
        ("backend.run.distill", "from backend.scenes.base import Scene"),
        ("backend.service.server", "import zmq"),
        ("blender_addon.net.client", "import zmq"),
        ("blender_addon.scene.importers.mesh", "import bpy\nfrom ..ply import read_ply"),
        ("blender_addon.scene.results", "from ..net.state import Delivery\nfrom ..shared.messages import Mesh"),
        ("blender_addon.ui.panels", "from ..view.live_view import live_view\nfrom . import drawing"),
        ("blender_addon.registration", "from . import timer\nfrom .ui import panels"),
    ],
)
def test_what_is_allowed_passes(module, source):
    assert violations(module, imports(source, module)) == []


def test_who_uses_a_kit_does_not_wait_for_diffusers():
    """Its import takes longer than torch's; it is imported once a model needs it."""
    code = """
import sys
import backend.cli.generate, backend.models.listing, backend.service.worker
backend.service.worker._warm_up()
print([name for name in ("diffusers", "transformers", "peft") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
