"""The page as a person sees it: pictures of it in a headless Chromium, where there is one."""

import time

import numpy as np
import pytest
from browser import browser, chromium
from PIL import Image
from viewing import job, shown_here

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (Debian: apt install chromium)")


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def red_share(path):
    """Which share of the scene's half of a picture is red."""
    red, green, blue = np.asarray(Image.open(path).convert("RGB").crop((0, 0, 880, 650)), int).transpose(2, 0, 1)
    return float(((red > 120) & (red > green + 60) & (red > blue + 60)).mean())


def seen_red(window, path, low, high=1.0):
    """Wait until so much of the picture is red; WebGL without a graphics card takes its time."""
    end = time.monotonic() + 60
    while not low < (share := red_share(window.picture(path))) < high:
        assert time.monotonic() < end, share
        time.sleep(0.5)
    return share


def test_the_splats_are_seen_and_the_text_beside_them(window, tmp_path):
    job(tmp_path / "ball")
    with shown_here(tmp_path / "ball") as address:
        window.wanted.clear()
        window.goes_to(address)
        window.reads("Step 40 of 40")
        assert 0.03 < seen_red(window, tmp_path / "one.png", 0.03) < 0.4
        strange = [url for url in window.wanted if not url.startswith((address, "data:", "blob:"))]
        assert strange == []  # nothing is asked of another host


def test_of_two_seeds_one_can_be_hidden(window, tmp_path):
    for seed in (1, 2):
        job(tmp_path / f"seed-{seed}", seed)
    with shown_here(tmp_path) as address:
        window.goes_to(address)
        window.reads(r"seed 2: splats of step 40")
        both = seen_red(window, tmp_path / "two.png", 0.02)
        window.clicks("seed 2")
        window.reads(r"(?s)^(?!.*seed 2: splats)")
        window.goes_to(address)  # as the camera comes nearer, whoever opens the page now sees one, larger
        window.reads(r"seed 1: splats of step 40")
        assert seen_red(window, tmp_path / "one.png", 0.02) != both
