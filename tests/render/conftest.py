"""Both of our compositors: the CPU's, and the card's kernels built as C++ for a CPU (shim.cpp)."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from backend.render import base, card

HERE = Path(__file__).parent
COMPILER = shutil.which("g++") or shutil.which("clang++")


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """splats.cu as a library of the CPU."""
    if COMPILER is None:
        pytest.skip("needs a C++ compiler")
    file = tmp_path_factory.mktemp("shim") / "shim.so"
    flags = ["-O2", "-shared", "-fPIC", "-std=c++17", f"-I{card.SOURCE.parent}"]
    subprocess.run([COMPILER, *flags, str(HERE / "shim.cpp"), "-o", str(file)], check=True)
    return ctypes.CDLL(str(file))


@pytest.fixture
def card_kernels(shim, monkeypatch):
    """`rasterization` on the CPU, composited by the card's kernels."""

    def launch(kernel, grid, *arguments):
        passed = [
            ctypes.c_void_p(value.data_ptr()) if isinstance(value, torch.Tensor) else ctypes.c_int(value)
            for value in arguments
        ]
        getattr(shim, f"run_{kernel}")(*map(ctypes.c_int, grid), *passed)

    monkeypatch.setattr(card, "launch", launch)
    monkeypatch.setattr(base, "compositing", lambda _device: card.Composite.apply)


@pytest.fixture(autouse=True)
def either(request):
    """The CPU's compositor, or the card's kernels, as the parameter says."""
    if getattr(request, "param", "cpu") == "card":
        request.getfixturevalue("card_kernels")


def pytest_generate_tests(metafunc):
    """All tests of what is rendered run with both."""
    if metafunc.module.__name__.split(".")[-1] in BOTH:
        metafunc.parametrize("either", ["cpu", "card"], indirect=True)


BOTH = ("test_render_parity", "test_render_closed_form", "test_render_robust", "test_render_strategies")
