"""What a run starts from: which start is the default, what is refused before anything is loaded, and how each is made.

A draft is not made here: it is a run of its own, see `draft`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import torch

from backend.files import ExportError
from backend.job.job import START_SOURCES, Job, JobError, is_complete
from backend.priors.catalogue import CataloguePrior
from backend.priors.kit import EMBEDDED, kit_folder
from backend.priors.model_folder import check_model
from backend.run.assemble import Start, load_prior, open_kit, plain_start, start_generator
from backend.run.credits import credits_of
from backend.run.devices import choose_device
from backend.run.folder import JobFolder
from backend.scenes.initial import from_mesh
from backend.scenes.number import with_number

Warn = Callable[[str], None]


def with_default_start(fields: dict[str, Any]) -> dict[str, Any]:
    """A job's fields with the start that is best on this machine, where they leave that open.

    A large prior on a graphics card starts from a draft, which stands there in seconds; anything else from a grey ball.
    The file of a run, whose recipe is complete, leaves nothing open.
    """
    said = "start" in fields or any(fields.get(name) for name in START_SOURCES.values())
    prior, device = fields.get("prior", EMBEDDED), fields.get("device", "auto")
    if said or is_complete(fields.get("recipe")) or not isinstance(prior, str) or not isinstance(device, str):
        return fields
    if kit_folder(prior) is not None or choose_device(device).type != "cuda":
        return fields
    return {**fields, "start": "draft", "start_by_default": True}


def check_start(job: Job, out: Path) -> None:
    """Refuse a start that cannot be made, before any prior is loaded.  Raises JobError or PriorError."""
    if job.start == "draft":
        _check_kit(job.start_prior)
        if kit_folder(job.prior) is None:
            check_model(job.prior)  # it is loaded once the draft is done
    if job.start == "shap-e":
        from backend.priors.shap_e import check_shap_e  # brings diffusers, which takes seconds

        check_shap_e(job.start_prior)
    if job.start_from is not None:
        source = Path(job.start_from)
        if not (source / "splats.ply").is_file():
            raise JobError(f"start_from: {source} has no splats.ply; name the folder of a job that has made splats.")
        if source.resolve() == out.resolve():
            raise JobError("start_from: the results would replace what they start from; name another folder for them.")


def _check_kit(prior: str) -> None:
    folder = kit_folder(prior)
    if folder is None:
        raise JobError(f"start_prior: {prior} is not a kit; a draft is made of embedded or of the folder of a kit.")
    open_kit(folder)


def make_start(job: Job, device: torch.device, warn: Warn) -> tuple[Start, dict[str, Any] | None]:
    """The start of a job that does not begin with a draft, and what metrics.json says of it, if anything.

    `warn` gets a sentence for each part of it that could not be used.
    """
    if job.start == "job":
        return _from_job(job, warn)
    if job.start == "shap-e":
        return _from_shap_e(job, device, warn)
    return plain_start(job, warn), None


def _from_job(job: Job, warn: Warn) -> tuple[Start, dict[str, Any]]:
    """The splats of another job, where and as large as they stand there."""
    folder, settings = JobFolder(Path(job.start_from or "")), job.recipe.splats
    try:
        splats, placing = folder.splats(), folder.placing()
    except (ExportError, OSError, msgspec.MsgspecError, JobError) as error:
        raise JobError(f"start_from: the splats of {folder.path} cannot be read ({_reason(error)}).") from error
    if len(splats) > settings.cap_max:
        warn(f"Of the {len(splats):,} splats of {folder.path.name} only the {settings.cap_max:,} largest are used.")
    chosen = with_number(splats, settings.initial_count, settings.cap_max)
    to_scene = torch.tensor(placing.to_scene) if placing.to_scene else torch.eye(4)
    told = {"start": "job", "folder": str(folder.path), **_told_of(folder, warn)}
    return Start(chosen, to_scene, torch.Generator().manual_seed(job.seed)), told


def _told_of(folder: JobFolder, warn: Warn) -> dict[str, Any]:
    """The prompt of a job, and the credits of the objects that it was made of or started from."""
    try:
        known = msgspec.json.decode((folder / "metrics.json").read_bytes())
    except (OSError, msgspec.MsgspecError):
        known = {}
    try:
        source = folder.job()
        made = known["credits"] if "credits" in known else _credits(source, folder)
        prompt = source.prompt
    except (JobError, OSError, ValueError) as error:  # PriorError is a ValueError
        warn(f"Whose objects {folder.path.name} was made of is not known ({_reason(error)}): credit them yourself.")
        made, prompt = [], known.get("prompt", "")
    earlier = (known.get("started_from") or folder.started_from() or {}).get("credits", [])
    return {"prompt": prompt, "credits": [*made, *earlier]}


def _credits(source: Job, folder: JobFolder) -> list[dict[str, Any]]:
    """The credits of a job that was stopped before it wrote any."""
    if kit_folder(source.prior) is None:
        return []
    prior, _ = load_prior(source, torch.device("cpu"))
    assert isinstance(prior, CataloguePrior)
    found: list[dict[str, Any]] = msgspec.to_builtins(credits_of(prior, folder.splats()))
    return found


def _from_shap_e(job: Job, device: torch.device, warn: Warn) -> tuple[Start, dict[str, Any]]:
    """Discs on the mesh that Shap-E makes of the prompt; a grey ball where it makes none."""
    from backend.priors.shap_e import shap_e_mesh

    settings, generator = job.recipe.splats, torch.Generator().manual_seed(job.seed)
    drawn = start_generator(job, generator)
    mesh = shap_e_mesh(job.start_prior, job.prompt, drawn.initial_seed(), device)
    if mesh is None:
        warn(f'Shap-E made no surface of "{job.prompt}": the run starts from a grey ball.')
        return plain_start(msgspec.structs.replace(job, start="sphere")), {"start": "sphere"}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shap_e.ply"
        mesh.export(file)
        splats, _ = from_mesh(file, settings.initial_count, drawn, warn, settings.cap_max)
    return Start(splats, torch.eye(4), generator), {"start": "shap-e", "prior": job.start_prior, "credits": []}


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
