"""The splats of earlier steps that a run keeps: which, how exactly, and within which bounds."""

from itertools import pairwise

import pytest
import torch

from backend.cameras import orbit
from backend.files import ExportError
from backend.job.job import make_job
from backend.run import history
from backend.run.folder import HISTORY, JobFolder
from backend.run.session import Session
from backend.scenes.splats import Splats, render_splats

RECIPE = {"steps": 40, "views": 1, "splats": {"initial_count": 400, "growth": "none"}}


def splats_of(count, seed=0):
    rng = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=rng)

    return Splats(0.3 * drawn(count, 3), drawn(count, 4), -3 + 0.3 * drawn(count, 3), drawn(count), drawn(count, 1, 3))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run, and the splats that it had after each step."""
    folder = JobFolder(tmp_path_factory.mktemp("history") / "out")
    session = Session.begin(make_job({"prompt": "a red apple", "objective": "sds", "recipe": RECIPE}), folder)
    had = {}
    for _ in session.steps(40):
        had[session.run.step] = session.run.scene.splats()
    session.save()
    return folder, had


def test_a_run_keeps_splats_spread_over_its_steps(run):
    folder, had = run
    kept = history.kept_steps(folder / HISTORY)
    assert set(kept) <= {1, *range(3, 40, 3)}
    assert kept[0] == 1
    assert len(kept) > 4
    for step in (kept[0], kept[-1]):
        read = history.read_moment(folder / HISTORY, step)
        torch.testing.assert_close(read.means, had[step].means, atol=5e-4, rtol=0)
    assert not torch.allclose(had[kept[0]].sh, had[kept[-1]].sh, atol=1e-2)


def test_rounded_splats_look_the_same():
    splats = splats_of(300)
    splats.sh.clamp_(-1.5, 1.5)  # colours within [0,1]
    read = history.unpack(history.pack(splats))
    one, other = (render_splats(each, orbit(3), 64, 64, torch.ones(3, 3)).rgb for each in (splats, read))
    assert float((one - other).abs().mean()) < 0.003
    assert float((one - 1).abs().mean()) > 0.1


def test_20_bytes_a_splat_and_at_most_65536_the_most_visible_ones():
    packed = history.pack(splats_of(70_000))
    assert sum(part.numel() * part.element_size() for part in packed) == 20 * 65_536
    splats = splats_of(70_000)
    splats.opacity_logits[:65_536] = 2.0
    splats.opacity_logits[65_536:] = -20.0
    assert int(history.pack(splats).rgba[:, 3].min()) == round(255 / (1 + 2.718281828**-2.0))


def test_at_most_16_moments_the_ends_stay_and_the_gaps_are_even():
    steps = []
    for step in [1, *range(25, 400, 25), *range(430, 1000, 30)]:  # a run that was continued
        steps = history.thinned([*steps, step])
    assert len(steps) == 16
    assert (steps[0], steps[-1]) == (1, 970)
    gaps = [after - before for before, after in pairwise(steps)]
    assert max(gaps) <= 120


def test_a_damaged_file_is_a_sentence_and_a_run_goes_on_without_it(tmp_path):
    folder = JobFolder(tmp_path / "out")
    folder.begin(make_job({"prompt": "a red apple", "recipe": RECIPE}))
    (folder / HISTORY).write_bytes(b"no tensors")
    with pytest.raises(ExportError, match="is damaged: delete it"):
        history.kept_steps(folder / HISTORY)

    class Scene:
        def splats(self):
            return splats_of(5)

    history.History(folder).keep(7, Scene())
    assert history.kept_steps(folder / HISTORY) == [7]
    folder.begin(folder.job())
    assert not (folder / HISTORY).exists()
