"""The panel's list of jobs: a collection of the window manager that follows `addon_state`."""

from __future__ import annotations

import bpy

from ..net.state import addon_state


def sync_list(manager: bpy.types.WindowManager) -> None:
    """Bring the panel's list up to date; the chosen job stays chosen."""
    jobs = manager.splatsmith_jobs
    if [item.name for item in jobs] == list(addon_state.rows):
        return
    chosen = active_job(manager)
    jobs.clear()
    for job in addon_state.rows:
        jobs.add().name = job
    manager.splatsmith_active = list(addon_state.rows).index(chosen) if chosen in addon_state.rows else 0


def active_job(manager: bpy.types.WindowManager) -> str:
    """The id of the job that is chosen in the list, or ""."""
    jobs, index = manager.splatsmith_jobs, manager.splatsmith_active
    return jobs[index].name if 0 <= index < len(jobs) else ""


def choose_job(manager: bpy.types.WindowManager, job: str) -> None:
    """Choose a job in the list."""
    sync_list(manager)
    manager.splatsmith_active = list(addon_state.rows).index(job)
