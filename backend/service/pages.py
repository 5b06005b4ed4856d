"""The list of jobs in messages that can travel, however many jobs there are and however much is said about each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.codec import MOST_HEADER, encode
from shared.messages import Jobs, JobState

A_PAGE = 50  # jobs; their thumbnails are 1.4 MB, and Blender takes them in one go
FULL = MOST_HEADER // 2  # bytes of a header


def pages(jobs: Iterable[JobState]) -> Iterator[Jobs]:
    """The jobs in their order; one empty page where there are none."""
    page: list[JobState] = []
    number = size = 0
    for job in jobs:
        length = len(encode(job)[0])
        if page and (len(page) == A_PAGE or size + length > FULL):
            yield Jobs(jobs=tuple(page), page=number, last=False)
            page, number, size = [], number + 1, 0
        page.append(job)
        size += length
    yield Jobs(jobs=tuple(page), page=number)
