"""What a step of each large model takes of the card, against the table by which a run chooses its views."""

from __future__ import annotations

import gc
import subprocess
import time
from typing import Any

import torch

from backend.job.job import make_job
from backend.priors.base import Condition
from backend.priors.card_memory import BESIDE, GIB, PEAK_GIB
from backend.priors.stable_diffusion import StableDiffusion, load_stable_diffusion
from backend.run.assemble import assemble
from backend.run.distill import Timings, distill
from backend.run.events import Warning
from tools.gpu.models import deepfloyd, model_folder
from tools.gpu.part import Part

FAMILIES = ("sd-512", "sdxl", "sd-768", "if")
WHOLE_STEPS = {"sd-512": 4, "sdxl": 2}  # views of the steps that render, too
STEPS = 6
FAR = 0.4  # GiB between table and card


class Meter:
    """Memory of the card that this process takes, in GiB; on the CPU nothing is measured."""

    def __init__(self, device: torch.device) -> None:
        self.card = device.type == "cuda"
        # The context is there after the first tensor; before it, the driver's own numbers.
        self.free = _free_by_driver() if self.card else 0.0

    @property
    def context(self) -> float:
        """Driver, context, loaded kernels: all that torch has not allocated."""
        if not self.card:
            return 0.0
        return self.free - (torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved()) / GIB

    def start(self) -> None:
        """Begin a peak."""
        gc.collect()  # diffusers' pipelines refer to themselves
        if self.card:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> dict[str, float]:
        """GiB since `start`: of tensors, of torch's reserve, and of the context."""
        if not self.card:
            return {"allocated": 0.0, "reserved": 0.0, "context": 0.0}
        torch.cuda.synchronize()
        return {
            "allocated": torch.cuda.max_memory_allocated() / GIB,
            "reserved": torch.cuda.max_memory_reserved() / GIB,
            "context": self.context,
        }


def _free_by_driver() -> float:
    """GiB free before this process is known to the card."""
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.splitlines()[0]) / 1024


def measure(part: Part) -> None:
    """Every row of the table, then whole steps."""
    device = torch.device("cpu" if part.small else "cuda")
    meter = Meter(device)
    for family in FAMILIES:
        with part.attempt(family):
            _family(part, meter, family, device)
    _summary(part)


def _family(part: Part, meter: Meter, family: str, device: torch.device) -> None:
    began = time.perf_counter()
    if family == "if" and not part.small:
        prior, written = deepfloyd(device), began
    else:
        folder = model_folder(family, part.scratch, part.small)
        written = time.perf_counter()
        meter.start()
        prior = load_stable_diffusion(folder, device)
    part.row(
        "loaded",
        family=family,
        seconds_to_write=written - began,
        seconds_to_load=time.perf_counter() - written,
        weights_gib=prior.weight_bytes / GIB,
        vae=None if prior.vae is None else str(prior.vae.dtype),
        **meter.peak(),
    )
    for views, table in list(PEAK_GIB[family].items())[: 1 if part.small else None]:  # type: ignore[index]
        with part.attempt(f"{family} with {views} views"):
            _row(part, meter, prior, family, views, table)
    if family in WHOLE_STEPS:
        with part.attempt(f"{family}: whole steps"):
            _whole_steps(part, meter, prior, family, WHOLE_STEPS[family])


def _row(part: Part, meter: Meter, prior: StableDiffusion, family: str, views: int, table: float) -> None:
    """The peak of a step and the time of its parts, the second of two."""
    parts: dict[str, float] = {}
    for _ in range(2):
        meter.start()
        parts = _step(prior, family, views)
    peak = meter.peak()
    part.row(
        "table",
        family=family,
        views=views,
        table=table,
        **peak,
        more_than_the_table=peak["allocated"] - table,
        beside=peak["context"] + peak["reserved"] - table,
        **parts,
    )


def _step(prior: StableDiffusion, family: str, views: int) -> dict[str, float]:
    """Encode, predict with two conditions, go back: milliseconds of each."""
    clock, device, side = Clock(prior.device), prior.device, prior.image_size
    width = prior.denoiser.unet.config.cross_attention_dim
    width = prior.denoiser.unet.config.encoder_hid_dim or width if family == "if" else width
    picture = torch.rand(views, side, side, 3, device=device, requires_grad=True)
    options = {"device": device, "dtype": prior.denoiser.dtype}
    pooled = prior.denoiser.unet.config.get("projection_class_embeddings_input_dim") or 0
    time_width = prior.denoiser.unet.config.get("addition_time_embed_dim") or 0
    extra = {
        "text_embeds": torch.randn(2 * views, max(pooled - 6 * time_width, 0), **options),
        "time_ids": torch.full((2 * views, 6), float(side), **options),
    }
    tokens = torch.randn(2 * views, 77, width, **options)
    condition = Condition(tokens, extra if family == "sdxl" else {})
    t = torch.full((2 * views,), 500, device=device)
    clock.record("")
    x = prior.encode(picture)
    clock.record("encode_ms")
    eps = prior.predict(torch.cat([x.detach()] * 2), t, condition)
    clock.record("unet_ms")
    (eps[:views] * x).sum().backward()  # type: ignore[no-untyped-call]
    clock.record("encoder_back_ms")
    if not torch.isfinite(eps).all():
        raise ArithmeticError("the U-Net's output has NaN or infinite numbers")
    return clock.milliseconds


class Clock:
    """Milliseconds of parts, each waited for."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.milliseconds, self._last = device, dict[str, float](), time.perf_counter()

    def record(self, name: str) -> None:
        """The time since the last call goes to `name`."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        if name:
            self.milliseconds[name] = 1e3 * (now - self._last)
        self._last = now


def _whole_steps(part: Part, meter: Meter, prior: StableDiffusion, family: str, views: int) -> None:
    """Steps of a run with splats of the full number: renderer, prior and optimiser together."""
    count, side, steps = (200, 32, 1) if part.small else (50_000, prior.image_size, STEPS)
    recipe: dict[str, Any] = {"steps": 100, "views": views, "stages": [{"side": side}]}
    recipe["splats"] = {"initial_count": count, "growth": "none"}
    job = make_job({"prompt": "a chair", "objective": "vdm", "prior": "some/model", "recipe": recipe})
    run = assemble(job, prior, prior.device)
    run.prior.waits = True
    events = list(distill(run, 2))
    run.timings, run.prior.seconds = Timings(measure=True), 0.0
    meter.start()
    began = time.perf_counter()
    events += distill(run, 2 + steps)
    seconds = (time.perf_counter() - began) / steps
    peak, table = meter.peak(), PEAK_GIB[family][views]  # type: ignore[index]
    parts = {name: 1e3 * value / steps for name, value in run.timings.seconds.items()}
    part.row(
        "whole_steps",
        family=family,
        views=views,
        splats=count,
        ms=1e3 * seconds,
        ms_of_the_prior=1e3 * run.prior.seconds / steps,
        ms_of_parts=parts,
        **peak,
        beside=peak["context"] + peak["reserved"] - table,
        warnings=[event.text for event in events if isinstance(event, Warning)],
    )
    part.headline(f"{family}, {views} views, {count} splats: {1e3 * seconds:.0f} ms a step")


def _summary(part: Part) -> None:
    rows = part.found.get("table", [])
    if not rows or part.small:
        return
    more = [row["more_than_the_table"] for row in rows]
    beside = [row["beside"] for row in [*rows, *part.found.get("whole_steps", [])]]
    part.put(mean_more_than_the_table=sum(more) / len(more), most_beside=max(beside), table_has_beside=BESIDE)
    part.headline(f"table: {min(more):+.2f} to {max(more):+.2f} GiB, mean {sum(more) / len(more):+.2f}")
    part.headline(f"beside it: up to {max(beside):.2f} GiB, and the table has {BESIDE}")
    if max(more) > FAR or max(beside) > BESIDE:
        part.failed("the table", ArithmeticError("a run would take more of the card than the table says"))
