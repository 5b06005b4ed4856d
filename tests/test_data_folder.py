"""Where jobs and kits go where no folder is named: the folders that earlier versions had, on each system."""

import sys
from pathlib import Path

import pytest

from backend.files import data_folder


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
@pytest.mark.parametrize(
    ("variable", "folder"),
    [
        ("/data", "/data/splatsmith"),
        ("", "/home/ann/.local/share/splatsmith"),
        (None, "/home/ann/.local/share/splatsmith"),
    ],
)
def test_the_folder_on_linux(monkeypatch, variable, folder):
    monkeypatch.setenv("HOME", "/home/ann")
    if variable is None:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_DATA_HOME", variable)
    assert data_folder() == Path(folder)
