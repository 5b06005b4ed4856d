"""Which workers a server has, by its options and the machine's cards."""

import pytest

from backend.service import places
from backend.service.places import HIDE_CARDS, Place, PlacesError, choose_places, device_names, places_on

GIB = 1 << 30


def test_by_default_each_card_runs_a_job_the_best_first_and_a_small_one_only_jobs_that_name_it():
    found = places_on({0: 2 * GIB, 1: 12 * GIB, 2: 24 * GIB}, {})
    assert [place.device for place in found] == ["cuda:2", "cuda:1", "cuda:0"]
    assert [place.environment for place in found] == [{"CUDA_VISIBLE_DEVICES": number} for number in "210"]
    assert [place.for_any for place in found] == [True, True, False]
    assert [place.takes("auto") for place in found] == [True, True, False]
    assert [place.takes("cuda:0") for place in found] == [False, False, True]
    assert [place.device for place in places_on({0: 8, 1: 8}, {})] == ["cuda:0", "cuda:1"]
    assert device_names(found) == ("auto", "cpu", "cuda:2", "cuda:1", "cuda:0")


def test_a_worker_sees_its_card_alone_also_where_the_server_was_given_some():
    found = places_on({0: 8, 1: 8}, {"CUDA_VISIBLE_DEVICES": "5, GPU-6f"})
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in found] == ["5", "GPU-6f"]
    assert found[1].name_here("cuda:1") == "cuda"
    assert [found[1].name_here(name) for name in ("auto", "cpu")] == ["auto", "cpu"]


@pytest.mark.parametrize(
    ("devices", "workers", "text"),
    [
        ("cuda:7", 1, "devices: cuda:7 is not a card that torch can use here; there is cuda:0, cuda:1."),
        ("cuda:0,gpu", 1, "devices: 'gpu' cannot be used; name auto, cpu, or cards as cuda:0,cuda:1."),
        ("cuda:0,cpu", 1, "devices: 'cpu' cannot be used; name auto, cpu, or cards as cuda:0,cuda:1."),
        ("cuda:0, cuda:0", 1, "devices: a card is named twice; each runs one job at a time."),
        ("cpu", 0, "workers: 0 is no number of workers; use 1 or more."),
        ("auto", 2, "workers: each graphics card runs one job at a time; add --devices cpu for jobs on the CPU."),
    ],
)
def test_devices_that_cannot_be_used_are_refused(devices, workers, text, monkeypatch):
    monkeypatch.setattr(places, "usable_cards", lambda: {0: 8, 1: 8})
    with pytest.raises(PlacesError) as error:
        choose_places(devices, workers)
    assert str(error.value) == text


def test_the_cpu_can_be_chosen_and_one_place_stays_as_it_was(monkeypatch):
    assert choose_places("cpu", 3) == [Place("cpu", HIDE_CARDS)] * 3
    assert not Place("cpu", HIDE_CARDS).takes("cuda:0")
    for cards in ({}, {0: 8}):
        monkeypatch.setattr(places, "usable_cards", lambda cards=cards: cards)
        assert choose_places() == [Place()]
    monkeypatch.setattr(places, "usable_cards", dict)
    assert choose_places("auto", 2) == [Place()] * 2
    assert device_names([Place()]) == ()
    monkeypatch.setattr(places, "usable_cards", lambda: {0: 8, 1: 8})
    assert [place.device for place in choose_places("cuda:1,cuda:0")] == ["cuda:1", "cuda:0"]
    assert [place.device for place in choose_places("cuda:1")] == ["cuda:1"]
