"""Addresses as people write them, the queue that keeps the newest, what wakes a waiting thread, the version."""

import select
import tomllib
from pathlib import Path

import numpy as np
import pytest

from shared import VERSION
from shared import messages as m
from shared.address import AddressError, parse_address
from shared.message_queue import MessageQueue
from shared.waker import Waker


@pytest.mark.parametrize(
    ("text", "endpoint", "loopback"),
    [
        ("47800", "tcp://127.0.0.1:47800", True),
        ("http://127.0.0.1:5000/", "tcp://127.0.0.1:5000", True),
        (" localhost:5000 ", "tcp://localhost:5000", True),
        ("tcp://render-queue.lan", "tcp://render-queue.lan:47800", False),
        ("[::1]:9", "tcp://[::1]:9", True),
        ("192.168.0.7:1", "tcp://192.168.0.7:1", False),
    ],
)
def test_addresses(text, endpoint, loopback):
    address = parse_address(text)
    assert (address.endpoint, address.loopback) == (endpoint, loopback)


@pytest.mark.parametrize(
    "text", ["", "a b", "host:port", "host:99999", "ftp://host:1", "1:2:3", "/dev/null", "host:-1"]
)
def test_bad_addresses_are_one_sentence(text):
    with pytest.raises(AddressError, match=r"write it like 127\.0\.0\.1:47800\.$"):
        parse_address(text)


def preview(job, step):
    return m.Preview(job=job * 32, step=step, image=np.zeros((1, 1, 3), np.uint8))


def test_of_what_is_replaced_only_the_newest_waits():
    queue = MessageQueue()
    for message in (preview("a", 1), preview("b", 1), m.Error(text="x"), preview("a", 2), m.Error(text="y")):
        queue.put(message, message)
    kept = [queue.pop() for _ in range(len(queue))]
    assert [getattr(message, "step", None) or message.text for message in kept] == [1, "x", 2, "y"]
    with pytest.raises(KeyError):
        queue.pop()


def test_the_waker_wakes_once_and_never_blocks():
    waker = Waker()
    assert select.select([waker], [], [], 0)[0] == []
    for _ in range(100_000):  # far more than a socket's buffer takes
        waker.wake()
    assert select.select([waker], [], [], 0)[0] == [waker]
    waker.clear()
    assert select.select([waker], [], [], 0)[0] == []
    waker.close()
    waker.wake()


def test_the_version_is_the_project_s():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
