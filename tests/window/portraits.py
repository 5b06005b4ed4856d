"""The screenshots of the README, in the quality that the demo has (the tests' own are drafts).

SPLATSMITH_BLENDER_ROOT=work/blender-root-trixie python -m pytest tests/window/portraits.py
"""

from pathlib import Path

from desk import wait_for
from PIL import Image
from test_window import Shop

DOCS = Path(__file__).parents[2] / "docs"


def test_portraits(desk, extension, port):
    shop = Shop(desk, port)
    shop.blender.write("splatsmith.prompt", "a wooden chair")
    shop.blender.do("settings().quality_name, settings().seed, settings().auto_import = 'normal', 0, False")
    shop.blender.press("splatsmith.generate")
    job = wait_for("a job in the list", lambda: shop.blender.ask("chosen()"), 30)
    wait_for("two thirds of it", lambda: shop.step(job) > 200, 600, every=1)
    shop.blender.show_all()
    keep(shop, "live")
    wait_for("its end", lambda: shop.state(job) == "done", 600, every=1)
    shop.blender.press("splatsmith.import_result")
    wait_for("the result", lambda: shop.blender.ask(f"results({job!r})") == ["mesh", "place", "splats"], 60)
    keep(shop, "imported")
    shop.blender.press("what='mesh'")
    keep(shop, "mesh")
    shop.blender.kill()


def keep(shop, name):
    with Image.open(shop.desk.screenshot(name)) as screen:
        screen.convert("RGB").save(DOCS / f"blender-{name}.webp", quality=88, method=6)
