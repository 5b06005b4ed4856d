"""How many threads a run computes with."""

import torch
from kits import small_catalogue

from backend.priors.analytic import Analytic
from backend.priors.catalogue import CataloguePrior
from backend.run.threads import threads_for, use_threads


def test_a_kit_takes_a_quarter_and_large_networks_all(tmp_path):
    kit = CataloguePrior(small_catalogue(tmp_path, ["Apple"]), "an apple")
    assert [threads_for(kit, cores) for cores in (1, 2, 4, 8, 16)] == [1, 1, 1, 2, 4]
    assert threads_for(Analytic(torch.zeros(1, 2, 1, 1), 0.1), 8) == 8


def test_the_users_choice_is_kept(tmp_path, monkeypatch):
    kit, before = CataloguePrior(small_catalogue(tmp_path, ["Apple"]), "an apple"), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        use_threads(kit)
        assert torch.get_num_threads() == 2
        monkeypatch.delenv("OMP_NUM_THREADS")
        use_threads(kit)
        assert torch.get_num_threads() == threads_for(kit)
    finally:
        torch.set_num_threads(before)
