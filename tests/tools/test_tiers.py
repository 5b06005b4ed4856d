"""`build.py test`: what runs where, and that every path of the slow tier is there."""

from pathlib import Path

import pytest

from tools.environments import environments
from tools.tiers import QUICK, SLOW, SLOW_TESTS, Plan, parallel, plan

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "quick", "expected"),
    [
        ([], False, Plan((), ("tests/blender",), whole=True)),
        (["-x"], False, Plan(("-x",), ("tests/blender",), whole=True)),
        ([], True, Plan(QUICK, None, whole=True)),
        (["-x"], True, Plan((*QUICK, "-x"), None, whole=True)),
        (["tests/scenes", "-k", "density"], False, Plan(("tests/scenes", "-k", "density"), None)),
        (["tests/test_cli.py::test_help"], False, Plan(("tests/test_cli.py::test_help",), None)),
        (["-k", "density"], False, Plan(("-k", "density"), None)),
        (["-kdensity"], False, Plan(("-kdensity",), None)),
        (["-m", "gpu"], False, Plan(("-m", "gpu"), None)),
        (["tests/blender/test_weld.py", "-x"], False, Plan(None, ("tests/blender/test_weld.py", "-x"))),
        (["tests/blender", "tests/scenes"], False, Plan(("tests/scenes",), ("tests/blender",))),
        # A word that is a folder, but none of tests.
        (["-k", "shared"], False, Plan(("-k", "shared"), None)),
        (["tests/scenes"], True, Plan(("tests/scenes", *QUICK), None)),
    ],
)
def test_what_runs_where(options, quick, expected):
    assert plan(options, quick, ROOT) == expected


@pytest.mark.parametrize(("cores", "workers"), [(2, 3), (4, 4), (64, 4)])
def test_files_are_spread_over_the_cores(cores, workers):
    in_our_order = ["--dist=loadfile", "--no-loadscope-reorder"]
    assert parallel(cores) == [f"--numprocesses={workers}", *in_our_order]


def test_one_core_has_one_process():
    assert parallel(1) == []


def test_the_slow_tests_are_there():
    assert [path for path in SLOW if not (ROOT / path).exists()] == []
    for test in SLOW_TESTS:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text()


def test_xdist_is_installed_with_the_tests_tools():
    assert any(line.startswith("pytest-xdist==") for line in environments(ROOT)[0].groups["dev"])
