"""The toy's priors."""

import pytest
import torch

from backend.studies.toy.modes import exact_prior
from backend.studies.toy.network import fresh, train


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """These tensors are small: threads would only wait for one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def exact():
    return exact_prior()


@pytest.fixture(scope="session")
def short():
    """A network after 60 of the 1000 epochs, and its losses."""
    network = fresh(0)
    return network, list(train(network, 60, 0))
