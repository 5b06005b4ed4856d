"""The machine: driver, card, torch, NVRTC, packages, what the doctor says, and the card's two ceilings."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from backend.cards import ask
from tools.gpu.pack import ROOT
from tools.gpu.part import Part

NAMED = (
    "torch triton numpy numba llvmlite transformers tokenizers huggingface-hub diffusers accelerate peft safetensors "
    "msgspec pyzmq gsplat cuda-core cuda-bindings cuda-pathfinder nvidia-cuda-nvrtc scipy scikit-image trimesh pytest "
    "hypothesis psutil"
).split()
# What the backend imports sooner or later; the last ones take seconds.
MODULES = (
    "backend.render.cpu backend.run.session backend.export.texture backend.service.server backend.cli.main "
    "backend.studies.bench.report backend.priors.stable_diffusion backend.priors.lora"
).split()
DOCTOR_SECONDS = 40.0


def measure(part: Part) -> None:
    """Everything that is looked up once."""
    with part.attempt("card"):
        _card(part)
    with part.attempt("packages"):
        part.put(versions={name: _version(name) for name in NAMED})
    _modules(part)
    with part.attempt("NVRTC"):
        _nvrtc(part)
    with part.attempt("what the backend would use"):
        from backend.run.devices import choose_device, report

        part.put(devices=report(), device=str(choose_device("auto")))
    if not part.small:
        with part.attempt("ceilings"):
            _ceilings(part)
    with part.attempt("doctor"):
        _doctor(part)


def _card(part: Part) -> None:
    answer = ask()
    found: dict[str, Any] = {
        "python": sys.version,
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "torch": torch.__version__,
        "CUDA of torch": torch.version.cuda,
        "nvidia-smi": [card.told for card in answer.cards] or answer.trouble or "no card",
        "driver": answer.cards[0].driver if answer.cards else None,
    }
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        found |= {
            "name": torch.cuda.get_device_name(),
            "capability": torch.cuda.get_device_capability(),
            "torch has code for": torch.cuda.get_arch_list(),
            "free and total GiB": (free / 2**30, total / 2**30),
            "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
        }
    part.put(machine=found)
    part.headline(f"{found.get('name', 'no card')}, driver {found['driver']}, torch {torch.__version__}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _modules(part: Part) -> None:
    seconds = {}
    for name in MODULES:
        began = time.perf_counter()
        with part.attempt(f"import {name}"):
            importlib.import_module(name)
            seconds[name] = time.perf_counter() - began
    part.put(seconds_to_import=seconds)


def _nvrtc(part: Part) -> None:
    """Where the library was found, and how long our kernels take to build, for which no card is needed."""
    if part.small and _version("cuda-core") == "missing":
        part.headline("cuda-core is not here, and without a card not needed")
        return
    from cuda.pathfinder import DynamicLibNotFoundError, load_nvidia_dynamic_lib

    try:
        found = load_nvidia_dynamic_lib("nvrtc")
    except DynamicLibNotFoundError:
        if not part.small:
            raise
        part.headline("NVRTC is not here")
        return
    part.put(nvrtc={"file": found.abs_path, "found by": getattr(found, "found_via", "")})
    from backend.render.card import compiled

    began = time.perf_counter()
    binary = compiled("90")
    part.put(nvrtc_seconds=time.perf_counter() - began, cubin_bytes=len(binary.code))
    part.headline(f"NVRTC: {found.abs_path}, kernels built in {time.perf_counter() - began:.2f} s")


def _ceilings(part: Part) -> None:
    """Bytes a second of a large copy, read and written; operations a second of a large product in half precision."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    copy = _fastest(lambda: target.copy_(source))
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.half) for _ in range(2))
    product = _fastest(lambda: a @ b)
    rates = {"copy TB/s": 2 * 2**30 / copy / 1e12, "half product TFLOP/s": 2 * 8192**3 / product / 1e12}
    part.put(ceilings=rates)
    part.headline(", ".join(f"{name} {rate:.3g}" for name, rate in rates.items()))


def _fastest(work: Any) -> float:
    """Seconds of the fastest of ten, by the card's clock."""
    times: list[float] = []
    for _ in range(13):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return min(times[3:])


def _doctor(part: Part) -> None:
    """On a bare machine it finds nothing installed, which is right: its lines about the card are what counts."""
    answer = subprocess.run(
        [sys.executable, "build.py", "doctor"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DOCTOR_SECONDS,
        check=False,
    )
    part.put(doctor=(answer.stdout + answer.stderr).splitlines())
