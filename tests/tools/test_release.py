"""A release on a small repository of real files, with git; the zips are built by a function of the test."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.environments import SetUpError
from tools.release import LINES, release

ROOT = Path(__file__).parents[2]


def git(root, *arguments):
    return subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def tree(tmp_path):
    """The files with a version in them, as they are today, and a changelog of two lines."""
    for name in LINES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n* Chairs.\n\n## 0.0.1 - 2025-01-01\n* Begun.\n"
    )
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "Ann")
    git(tmp_path, "config", "user.email", "ann@localhost")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def nothing():
    pass


def test_a_release_has_its_version_everywhere_a_date_a_commit_and_a_tag(tree):
    built = []
    package = lambda: built.append((tree / "shared/__init__.py").read_text())  # noqa: E731
    assert release(tree, "7.8.9", package, "2026-11-26") == "v7.8.9"
    for name, line in LINES.items():
        assert line.format("7.8.9") in (tree / name).read_text().splitlines()
    assert (tree / "CHANGELOG.md").read_text() == (
        "# Changelog\n\n## Unreleased\n\n## 7.8.9 - 2026-11-26\n* Chairs.\n\n## 0.0.1 - 2025-01-01\n* Begun.\n"
    )
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "log", "-1", "--format=%s") == "Release 7.8.9"
    assert git(tree, "rev-parse", "v7.8.9^{commit}") == git(tree, "rev-parse", "HEAD")
    assert git(tree, "diff", "--name-only", "HEAD~1").splitlines() == sorted([*LINES, "CHANGELOG.md"])
    assert 'VERSION = "7.8.9"' in built[0]  # the zips are of the release
    # The next one needs something new.
    with pytest.raises(SetUpError, match="nothing under '## Unreleased'"):
        release(tree, "8.0.0", nothing)


@pytest.mark.parametrize("version", ["1.2", "v1.2.3", "1.2.3rc1", "", "1.2.3\n"])
def test_a_version_is_three_numbers(tree, version):
    with pytest.raises(SetUpError, match=r"write it as 1\.2\.3"):
        release(tree, version, nothing)


@pytest.mark.parametrize("version", ["0.0.9", "0.1.0"])
def test_a_version_is_later_than_the_last(tree, version):
    for name, line in LINES.items():
        text = (tree / name).read_text().splitlines()
        start = line.partition("{")[0]
        (tree / name).write_text("\n".join(line.format("0.1.0") if old.startswith(start) else old for old in text))
    with pytest.raises(SetUpError, match=r"is of 0\.1\.0 already"):
        release(tree, version, nothing)


def test_changes_that_are_not_committed_are_refused_and_kept(tree):
    with (tree / "shared/__init__.py").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(SetUpError, match="not committed"):
        release(tree, "7.8.9", nothing)
    assert (tree / "shared/__init__.py").read_text().endswith("# mine\n")
    assert "7.8.9" not in (tree / "pyproject.toml").read_text()


def test_a_tag_that_is_there_is_refused(tree):
    git(tree, "tag", "v7.8.9")
    with pytest.raises(SetUpError, match=r"a v7\.8\.9 already"):
        release(tree, "7.8.9", nothing)
    assert git(tree, "status", "--porcelain") == ""


def test_zips_that_cannot_be_built_leave_everything_as_it_was(tree):
    def fails():
        raise SetUpError("no wheel")

    with pytest.raises(SetUpError, match="no wheel"):
        release(tree, "7.8.9", fails)
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "tag") == ""
    assert git(tree, "log", "--format=%s") == "Begin"


def test_todays_changelog_and_versions_fit():
    for name, line in LINES.items():
        start = line.partition("{")[0]
        assert len([old for old in (ROOT / name).read_text().splitlines() if old.startswith(start)]) == 1
