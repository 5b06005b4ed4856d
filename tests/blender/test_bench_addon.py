"""The add-on's bench streams over a real socket and counts what arrived."""

import pytest

from tools.bench_addon import codec_row, table, tick_row


def test_ticks_take_the_snapshots_that_were_sent():
    row = tick_row(2000, for_seconds=1.0)
    assert 1 <= row["taken"] <= row["snapshots"]
    assert 0 < row["tick median ms"] <= row["worst ms"]


def test_the_codec_row_says_how_much_travelled():
    row = codec_row(1000, rounds=3)
    assert row["MB"] == pytest.approx(1000 * 4 * (3 + 4 + 3 + 1 + 3) / 1e6, rel=0.01)
    assert min(row["encode ms"], row["decode ms"], row["with loopback ms"], row["loopback GB/s"]) > 0
    assert table([row]).count("\n") == 1
