"""`build.py package`: what is in the zips and the repository, and that Blender's own tool has a say."""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tools.environments import SetUpError, environments
from tools.package import blender_ext, package, report
from tools.wheels import PLATFORMS, PYTHONS, wheels

ROOT = Path(__file__).parents[2]
PYTHON = environments(ROOT)[1].python
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package") / "dist"
    folder.mkdir()
    (folder / "splatsmith-0.0.1-linux_x64.zip").touch()  # an older build's
    package(ROOT, PYTHON, folder)
    return folder


@pytest.fixture
def house(tmp_path):
    """A copy of what a package is made of, to be damaged; the wheels are ours."""
    for name in ("blender_addon", "shared"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("shared", "__pycache__"))
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "work").mkdir()
    (tmp_path / "work/wheels").symlink_to(ROOT / "work/wheels")
    return tmp_path


def manifest_of(archive):
    return tomllib.loads(archive.read("blender_manifest.toml").decode())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_zip_has_the_addon_and_the_wheels_of_its_platform(dist, platform):
    with zipfile.ZipFile(dist / f"splatsmith-{VERSION}-{platform.replace('-', '_')}.zip") as archive:
        files, manifest = set(archive.namelist()), manifest_of(archive)
        assert archive.read("shared/messages.py") == (ROOT / "shared/messages.py").read_bytes()
    code = {str(file.relative_to(ROOT / "blender_addon")) for file in (ROOT / "blender_addon").rglob("*.py")}
    assert code - {"scene/scene_file.py"} <= files
    assert {"LICENSE", "README.md"} <= files
    assert not [name for name in files if "scene_file" in name or "__pycache__" in name]

    generated = manifest["build"]["generated"]
    assert generated["platforms"] == [platform]
    carried = {name for name in files if name.endswith(".whl")}
    assert {f"./{name}" for name in carried} == set(generated["wheels"])
    word = {"linux-x64": "manylinux", "windows-x64": "win_amd64", "macos-arm64": "macosx"}[platform]
    assert all(word in name for name in carried)
    for version in PYTHONS:
        tag = f"cp{version.replace('.', '')}"
        assert any(f"-{tag}-{tag}-" in name and "msgspec" in name for name in carried), (version, carried)
    assert any("pyzmq" in name and "-cp311-cp311-" in name for name in carried)
    assert any("pyzmq" in name and "-cp312-abi3-" in name for name in carried)  # 3.12 and all later ones


def test_the_manifest_is_of_this_version_and_refuses_blenders_that_mix_up_wheels(dist):
    with zipfile.ZipFile(next(dist.glob("*.zip"))) as archive:
        manifest = manifest_of(archive)
    assert manifest["version"] == VERSION
    assert tuple(map(int, manifest["blender_version_min"].split("."))) >= (4, 2, 13)


def test_the_index_lists_what_is_there(dist):
    entries = json.loads((dist / "index.json").read_text())["data"]
    assert {platform for entry in entries for platform in entry["platforms"]} == set(PLATFORMS)
    assert {path.name for path in dist.iterdir()} == {"index.json", *(Path(e["archive_url"]).name for e in entries)}
    for entry in entries:
        content = (dist / entry["archive_url"]).read_bytes()
        assert entry["archive_size"] == len(content)
        assert entry["archive_hash"] == "sha256:" + hashlib.sha256(content).hexdigest()
        assert set(entry["python_versions"]) >= {"3.11", "3.13"}
        assert Path(entry["archive_url"]).name in report(dist)


def test_a_manifest_that_blender_refuses_is_no_package(house):
    manifest = house / "blender_addon/blender_manifest.toml"
    manifest.write_text(manifest.read_text().replace('type = "add-on"', 'type = "pet"'))
    (house / "dist").mkdir()
    (house / "dist/before").touch()
    with pytest.raises(SetUpError, match="Blender refuses the extension") as refusal:
        package(house, PYTHON, house / "dist")
    assert "pet" in str(refusal.value)
    assert [path.name for path in (house / "dist").iterdir()] == ["before"]  # what was there is kept
    assert [path.name for path in (house / "work").iterdir()] == ["wheels"]


def test_without_blender_it_says_so(tmp_path):
    with pytest.raises(SetUpError, match=r"build\.py setup"):
        blender_ext(tmp_path / "bin/python")


def test_wheels_that_cannot_be_had_are_named_and_leave_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with pytest.raises(SetUpError, match=r"linux-x64 and Python 3\.11 .* No matching distribution"):
        wheels(tmp_path, PYTHON)
    assert not list(tmp_path.glob("work/wheels/*.whl"))


@pytest.mark.skipif(sys.platform != "linux", reason="imports the wheels of Linux")
def test_the_wheels_need_nothing_else(dist, tmp_path):
    with zipfile.ZipFile(dist / f"splatsmith-{VERSION}-linux_x64.zip") as archive:
        for name in archive.namelist():
            if "cp311-cp311" in name:
                zipfile.ZipFile(archive.open(name)).extractall(tmp_path)
    program = "import zmq, msgspec; zmq.Context().destroy(); print(msgspec.msgpack.decode(msgspec.msgpack.encode(7)))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "7\n"
