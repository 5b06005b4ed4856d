"""The small kit as a prior, and three finished runs with it."""

import json

import pytest
from kits import make_small_kit
from tiny_judges import save_image_reward

from backend.cli.main import main
from tests.small import MESH, SPLATS


@pytest.fixture(scope="session")
def kit(tmp_path_factory):
    """The folder of the small kit."""
    return str(make_small_kit(tmp_path_factory.mktemp("kits") / "small"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory, kit):
    """Two seeds of one job and one of another, a few steps each."""
    root = tmp_path_factory.mktemp("runs")
    for objective, seed in (("sds", 0), ("sds", 1), ("csd", 0)):
        folder = root / f"{objective}-{seed}"
        job = {"prompt": "a red apple", "objective": objective, "seed": seed, "prior": kit, "quality": "draft"}
        job["recipe"] = {"steps": 2, "views": 1, "splats": SPLATS, "mesh": MESH}
        (root / "job.json").write_text(json.dumps(job))
        assert main(["generate", "--job", str(root / "job.json"), "--out", str(folder)]) == 0
    return root


@pytest.fixture
def image_reward_folder(tmp_path):
    return save_image_reward(tmp_path)
