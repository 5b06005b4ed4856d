"""The renderer's bench."""

from backend.studies.bench.renderer import renderer_rows


def test_rows_and_budget():
    rows = renderer_rows((40, 80), (16,), reference_budget_s=0.4)
    assert [(row["splats"], row["pixels"]) for row in rows] == [(40, 16), (80, 16)]
    assert all(row["forward_ms"] > 0 and row["backward_ms"] > 0 for row in rows)
    ours = rows[0]["forward_ms"] + rows[0]["backward_ms"]
    assert abs(rows[0]["speedup_vs_reference"] * ours / rows[0]["reference_ms"] - 1) < 1e-6
    assert "reference_ms" not in rows[1]  # the first row has used up the budget
