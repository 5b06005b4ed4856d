"""The hooks of pre-commit: they are there, they run, and large files are refused outside the kit."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tools.large_files import LIMIT, main

ROOT = Path(__file__).parents[2]
HOOKS = {
    hook["id"]: hook
    for repository in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    for hook in repository["hooks"]
}


def test_the_hooks_are_local_and_name_no_host():
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    assert set(HOOKS) == {"ruff", "ruff-format", "mypy", "large-files"}
    assert re.findall(r"- repo: (.*)", text) == ["local"]
    assert "//" not in text


@pytest.mark.parametrize(("name", "code"), [("good.py", 0), ("bad.py", 1)])
def test_ruffs_hook_refuses_what_ruff_refuses(tmp_path, name, code):
    (tmp_path / "good.py").write_text('"""Good."""\n')
    (tmp_path / "bad.py").write_text("import os\n")
    command = [sys.executable, *HOOKS["ruff"]["entry"].split()[1:], name]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == code


def test_large_files_are_refused_outside_the_kit(tmp_path, capsys):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(LIMIT))
    large.write_bytes(bytes(LIMIT + 1))
    assert main([str(small)]) == 0
    assert main([str(small), str(large)]) == 1
    assert "large has 1.0 MB" in capsys.readouterr().out
    assert re.match(HOOKS["large-files"]["exclude"], "backend/priors/objects/kit.json")
    assert not re.match(HOOKS["large-files"]["exclude"], "docs/picture.png")


def test_no_file_outside_the_kit_is_too_large_today():
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    ours = [ROOT / name for name in names if not name.startswith("backend/priors/objects/")]
    assert main([str(file) for file in ours if file.is_file()]) == 0
