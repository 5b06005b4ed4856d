"""Flamenco's job type: the tasks that it makes, and that our command line takes their commands."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from backend.cli.options import build_parser

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
SETTINGS = {"job_file": "{farm}/chair/job.json", "out": "{farm}/chair/out", "first_seed": 5, "variations": 3}


@pytest.fixture(scope="module")
def compiled():
    if NODE is None:
        pytest.skip("needs node")
    script = ROOT / "tools" / "flamenco" / "splatsmith.js"
    command = [NODE, str(Path(__file__).with_name("flamenco_manager.js")), str(script), json.dumps(SETTINGS)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_a_task_a_seed_and_one_for_the_sheet_after_them(compiled):
    *seeds, sheet = compiled["tasks"]
    assert [(task["name"], task["type"], task["after"]) for task in seeds] == [
        (f"seed-{seed}", "splatsmith", []) for seed in (5, 6, 7)
    ]
    assert (sheet["type"], sheet["after"]) == ("misc", ["seed-5", "seed-6", "seed-7"])
    for task in compiled["tasks"]:
        (command,) = task["commands"]
        assert (command["name"], command["parameters"]["exe"]) == ("exec", "{splatsmith}")


def test_our_command_line_takes_what_it_makes(compiled):
    *seeds, sheet = (build_parser().parse_args(task["commands"][0]["parameters"]["args"]) for task in compiled["tasks"])
    assert [args.seed for args in seeds] == [5, 6, 7]
    assert all(args.resume for args in seeds)
    assert {args.job.as_posix() for args in seeds} == {SETTINGS["job_file"]}
    assert sheet.folders == [args.out for args in seeds]
    assert sheet.out.as_posix() == "{farm}/chair/out/evaluation"


def test_its_settings_can_be_filled_in(compiled):
    """Every setting that has no default is required, and no setting is unknown to the script."""
    settings = {setting["key"]: setting for setting in compiled["type"]["settings"]}
    assert settings.keys() == SETTINGS.keys()
    assert {key for key, setting in settings.items() if "default" not in setting} == {"job_file", "out"}
    assert all(settings[key]["required"] for key in ("job_file", "out"))
