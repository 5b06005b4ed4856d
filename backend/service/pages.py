"""Splits the list of jobs into messages within the codec's limits, however long it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shared.codec import MOST_HEADER, encode
from shared.messages import Jobs, JobState

JOBS_PER_PAGE = 50  # their thumbnails are 1.4 MB, which Blender takes in one go
HEADER_PER_PAGE = MOST_HEADER // 2  # bytes


def pages(jobs: Iterable[JobState]) -> Iterator[Jobs]:
    """The jobs in order; one empty page if there are none."""
    page: list[JobState] = []
    number = size = 0
    for job in jobs:
        length = len(encode(job)[0])
        if page and (len(page) == JOBS_PER_PAGE or size + length > HEADER_PER_PAGE):
            yield Jobs(jobs=tuple(page), page=number, last=False)
            page, number, size = [], number + 1, 0
        page.append(job)
        size += length
    yield Jobs(jobs=tuple(page), page=number)
