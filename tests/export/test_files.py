"""`replacing`: the old file or the new one, never half of either."""

from __future__ import annotations

import pytest

from backend.files import replacing


def test_new_content_appears_whole_and_nothing_is_left_beside_it(tmp_path):
    target = tmp_path / "mesh.glb"
    target.write_text("old")
    with replacing(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".glb"
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_failure_half_way_keeps_the_old_file(tmp_path):
    target = tmp_path / "splats.ply"
    target.write_text("old")

    def write_until_the_disk_is_full() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_until_the_disk_is_full()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_missing_folder_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "nowhere" / "a.txt") as temporary:
        temporary.write_text("x")
