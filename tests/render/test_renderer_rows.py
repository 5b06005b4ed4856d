"""The renderer's bench."""

import pytest
import torch

from backend.studies.bench import renderer as bench
from backend.studies.bench.renderer import Renderer, best, renderer_rows, renderers


def test_rows_and_budget():
    rows = renderer_rows((40, 80), (16,), reference_budget_s=0.4, which=renderers()[:1])
    assert [(row["renderer"], row["splats"], row["pixels"], row["views"]) for row in rows] == [
        ("cpu", 40, 16, 1),
        ("cpu", 80, 16, 1),
    ]
    assert all(row["forward_ms"] > 0 and row["backward_ms"] > 0 for row in rows)
    ours = rows[0]["forward_ms"] + rows[0]["backward_ms"]
    assert abs(rows[0]["speedup_vs_reference"] * ours / rows[0]["reference_ms"] - 1) < 1e-6
    assert "reference_ms" not in rows[1]  # the first row has used up the budget


def test_each_renderer_has_rows_for_all_sizes_and_views(monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 0.01)
    cpu = renderers()[0]
    other = Renderer("other", cpu.rasterization, cpu.device)
    rows = renderer_rows((5, 6), (8, 16), 0.0, (1, 4), [cpu, other])
    found = [(row["renderer"], row["splats"], row["pixels"], row["views"]) for row in rows]
    assert found == [(name, n, s, v) for name in ("cpu", "other") for n in (5, 6) for s in (8, 16) for v in (1, 4)]


@pytest.mark.gpu
def test_a_card_is_timed_by_its_own_clock():
    """The card works 50 ms and more after the call has returned."""
    card = renderers()[1]

    def slow(*given, **options):
        result = card.rasterization(*given, **options)
        torch.cuda._sleep(100_000_000)
        return result

    forward, _ = best(Renderer("slow", slow, card.device), 5, 8)
    assert forward > 0.03
