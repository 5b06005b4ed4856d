"""A job is called by the settings in which it differs from others of its objective."""

from backend.job.job import make_job
from backend.studies.evaluate.labels import labels


def jobs(*settings):
    return [make_job({"prompt": "a chair", "objective": "vdm", **fields}) for fields in settings]


def test_jobs_alike_bear_the_objective_alone():
    assert labels(jobs({"seed": 1}, {"seed": 2, "device": "cpu"})) == ["vdm", "vdm"]
    assert labels([*jobs({}), make_job({"prompt": "a chair", "objective": "sds"})]) == ["vdm", "sds"]


def test_of_a_quality_its_name_is_told_and_not_what_comes_of_it():
    found = labels(jobs({}, {"quality": "two-stage"}, {"quality": "high"}))
    assert found == ["vdm quality=normal", "vdm quality=two-stage", "vdm quality=high"]


def test_what_differs_within_a_quality_is_told():
    found = labels(jobs({}, {"recipe": {"steps": 7}}, {"quality": "draft", "recipe": {"steps": 7}}))
    assert found == ["vdm quality=normal steps=400", "vdm quality=normal steps=7", "vdm quality=draft steps=7"]
