"""Tiny random pipelines of each family, saved once in diffusers' folder format."""

import shutil

import pytest
import tiny_checkpoints
import tiny_pipelines as tiny

from backend.priors.stable_diffusion import load_stable_diffusion


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return {kind: build(tmp_path_factory.mktemp(kind)) for kind, build in tiny.BUILDERS.items()}


@pytest.fixture(scope="session")
def priors(folders):
    return {kind: load_stable_diffusion(folder, "cpu") for kind, folder in folders.items()}


@pytest.fixture
def copied(folders, tmp_path):
    """A pipeline of the SD 1.5 kind that a test may damage."""
    return shutil.copytree(folders["epsilon"], tmp_path / "model")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    return tiny_checkpoints.Tiny(tmp_path_factory.mktemp("checkpoints"))
