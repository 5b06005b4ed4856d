"""The kits on offer: found without a restart, with distinct titles, and skipped with a reason."""

import json
import shutil

import numpy as np
import pytest
from kits import make_small_kit
from serving import Person, serving, until

from backend.priors.kit import KitObject, new_index, write_atlas, write_index
from backend.run.credits import credits
from backend.run.folder import JobFolder
from backend.service.available_priors import AvailablePriors
from backend.service.jobs import Jobs
from blender_addon.shared import messages as m
from shared.messages import Prior


def make_kit(folder, name, objects=1):
    folder.mkdir(parents=True)
    write_atlas(np.full((48, 128, 128, 4), 200, np.uint8), folder / "0.webp")
    things = [KitObject(file="0.webp", name="Chair", source=f"chair {i}") for i in range(objects)]
    write_index(new_index(name, things), folder)
    return folder


def offer(person, titles):
    """The offer with these titles, once it has come."""
    person.listen()
    offers = (message for message in person.heard if isinstance(message, m.Priors))
    return next((offer for offer in offers if [prior.title for prior in offer.priors] == titles and offer.notes), None)


def titles(available):
    return [prior.title for prior in available.offers.priors]


def test_kits_are_added_changed_and_removed(tmp_path):
    available = AvailablePriors(tmp_path / "kits", ("some/model",))
    assert titles(available) == ["embedded", "some/model"]
    assert not available.refresh()
    oak = make_kit(tmp_path / "kits/a", "Oak chairs", objects=2)
    assert available.refresh()
    assert titles(available) == ["embedded", "some/model", "Oak chairs"]
    described = f"2 objects, in {oak}"
    assert available.offers.priors[-1] == Prior(name=str(oak), title="Oak chairs", description=described, kit=True)
    assert not available.refresh()
    shutil.rmtree(oak)
    assert available.refresh()
    assert titles(available) == ["embedded", "some/model"]


def test_kits_of_one_name_have_distinct_titles(tmp_path):
    for folder, name in (("kits/a", "Oak"), ("kits/b", "Oak"), ("kits/c", "embedded"), ("else/a", "Oak")):
        make_kit(tmp_path / folder, name)
    available = AvailablePriors(tmp_path / "kits", (str(tmp_path / "else/a"),))
    expected = ["embedded", f"Oak ({tmp_path / 'else/a'})", f"Oak ({tmp_path / 'kits/a'})", "Oak (b)", "embedded (c)"]
    assert titles(available) == expected


@pytest.mark.parametrize(
    ("damage", "words"), [(b"{", "is damaged"), (None, "has no objects"), (b'{"format": 9}', "is damaged")]
)
def test_a_kit_that_cannot_be_used_is_reported_and_skipped(tmp_path, damage, words):
    make_kit(tmp_path / "whole", "Whole")
    broken = make_kit(tmp_path / "broken", "Broken", objects=0 if damage is None else 1)
    if damage is not None:
        (broken / "kit.json").write_bytes(damage)
    (tmp_path / "a file").write_bytes(b"")
    (tmp_path / "no kit").mkdir()
    available = AvailablePriors(tmp_path)
    assert titles(available) == ["embedded", "Whole"]
    (note,) = available.offers.notes
    assert words in note
    assert str(broken) in note


def test_a_folder_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "kits").write_bytes(b"")
    available = AvailablePriors(tmp_path / "kits")
    assert titles(available) == ["embedded"]
    assert "cannot be read" in available.offers.notes[0]
    assert not available.refresh()


def test_all_clients_are_sent_a_new_kit_and_a_job_of_it_has_its_credits(tmp_path):
    make_kit(tmp_path / "kits/first", "First")
    with serving(tmp_path / "jobs", "--port", "0", "--kits", str(tmp_path / "kits")) as backend:
        people = [Person(backend), Person(backend)]
        for person in people:
            assert person.waits(m.Welcome).kits == str(tmp_path / "kits")
            assert [prior.title for prior in person.waits(m.Priors).priors] == ["embedded", "First"]
            person.heard.clear()
        kit = make_small_kit(tmp_path / "kits/second")
        (tmp_path / "kits/first/kit.json").write_bytes(b"")
        for person in people:
            offers = until(lambda person=person: offer(person, ["embedded", "small"]))
            assert any("is damaged" in note for note in offers.notes)
        job = people[0].generates(2, prior=str(kit), prompt="a chair", recipe={"catalogue": {"mix": 0.25}})
        for person in people:
            credits = person.waits(m.JobState, job, state="done").credits
            assert credits
            assert all("by Creator" in line and "(CC-BY 3.0)" in line for line in credits)
        assert json.loads((tmp_path / "jobs" / job / "job.json").read_text())["recipe"]["catalogue"]["mix"] == 0.25
        for person in people:
            person.client.stop()


CREDITS = [
    {"name": "Oak chair", "creator": "Scopia", "licence": "CC-BY-3.0", "source": "s", "share": 0.614},
    {"name": "Stool", "creator": "", "licence": "", "source": "t", "share": 0.004},
]
LINES = ("Oak chair by Scopia (CC-BY-3.0), 61 %", "Stool, under 1 %")


def test_a_job_that_ended_has_its_credits(tmp_path):
    from test_book import add

    jobs = Jobs(tmp_path)
    job = add(jobs, state="running")
    jobs.folder(job).write_metrics({"credits": CREDITS, "steps": 4})
    assert jobs[job].state().credits == ()
    jobs[job].end("done", "", "")
    assert Jobs(tmp_path)[job].state().credits == jobs[job].state().credits == LINES
    (tmp_path / job / "metrics.json").unlink()
    jobs[job].end("stopped", "", "")
    assert jobs[job].state().credits == ()


@pytest.mark.parametrize("damage", [b"{", b"\xff", b'{"credits": [{"name": 3}]}'])
def test_damaged_credits_are_reported(tmp_path, damage):
    (tmp_path / "metrics.json").write_bytes(damage)
    assert "cannot be read" in credits(JobFolder(tmp_path))[0]


def test_metrics_without_credits_give_none(tmp_path):
    (tmp_path / "metrics.json").write_bytes(b'{"steps": 4}')
    assert credits(JobFolder(tmp_path)) == ()
