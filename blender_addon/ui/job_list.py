"""The panel's list of jobs: a collection of the window manager that follows `addon_state`."""

from __future__ import annotations

from typing import Any, Protocol, cast

import bpy

from ..net.state import addon_state


class JobList(Protocol):
    """What `properties.register` adds to the window manager."""

    splatsmith_jobs: Any
    splatsmith_active: int


def job_list(manager: bpy.types.WindowManager | None) -> JobList:
    """The list; the window manager is always there, and the stubs do not know its new properties."""
    return cast(JobList, manager)


def sync_list(manager: bpy.types.WindowManager | None) -> None:
    """Bring the panel's list up to date; the chosen job stays chosen."""
    jobs = job_list(manager).splatsmith_jobs
    if [item.name for item in jobs] == list(addon_state.rows):
        return
    chosen = active_job(manager)
    jobs.clear()
    for job in addon_state.rows:
        jobs.add().name = job
    job_list(manager).splatsmith_active = list(addon_state.rows).index(chosen) if chosen in addon_state.rows else 0


def active_job(manager: bpy.types.WindowManager | None) -> str:
    """The id of the job that is chosen in the list, or ""."""
    jobs, index = job_list(manager).splatsmith_jobs, job_list(manager).splatsmith_active
    return jobs[index].name if 0 <= index < len(jobs) else ""


def choose_job(manager: bpy.types.WindowManager | None, job: str) -> None:
    """Choose a job in the list."""
    sync_list(manager)
    job_list(manager).splatsmith_active = list(addon_state.rows).index(job)
