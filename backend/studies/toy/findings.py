"""Checks the paper's claims for JSD against the measurements."""

from __future__ import annotations

from typing import Any

HIGH, NEAR_ZERO = 0.5, 0.2


def findings(table: dict[str, Any]) -> list[dict[str, Any]]:
    """Each claim with what was measured on one prior and whether it holds; empty where SDS or JSD was not run."""
    if not {"sds", "jsd"} <= set(table["correlation"]):
        return []
    return [
        _correlates("with guidance, in the first ten steps", table["correlation"]),
        _correlates("without guidance", table["correlation_without_guidance"]),
        _correlates("from draw to draw at one point and level", table["correlation_from_draw_to_draw"]),
        _less_noise("with guidance", table["gradient_noise_share"]),
        _less_noise("without guidance", table["gradient_noise_share_without_guidance"]),
        _more_modes("with ten steps a seed", table["ten_steps"]),
        _more_modes("with t uniform", table),
        _more_modes("with t falling", table["annealed"]),
        _more_likely("with t uniform", table),
        _more_likely("with t falling", table["annealed"]),
    ]


def _claim(claim: str, holds: bool, sds: Any, jsd: Any) -> dict[str, Any]:
    return {"claim": claim, "confirmed": holds, "sds": sds, "jsd": jsd}


def _correlates(when: str, values: dict[str, float]) -> dict[str, Any]:
    sds, jsd = values["sds"], values["jsd"]
    claim = f"JSD's control variate correlates above {HIGH} where SDS's stays below {NEAR_ZERO}, {when}"
    return _claim(claim, jsd > HIGH and abs(sds) < NEAR_ZERO, sds, jsd)


def _less_noise(when: str, values: dict[str, float]) -> dict[str, Any]:
    sds, jsd = values["sds"], values["jsd"]
    return _claim(f"Less of JSD's gradient than of SDS's is noise, {when}", jsd < sds, sds, jsd)


def _more_modes(when: str, table: dict[str, Any]) -> dict[str, Any]:
    sds, jsd = (_with_all_seeds(table["modes_reached"][name]) for name in ("sds", "jsd"))
    holds = all(jsd[start] > max(sds[start], 1) for start in sds)
    return _claim(f"JSD reaches several modes, and more than SDS, from every start, {when}", holds, sds, jsd)


def _more_likely(when: str, table: dict[str, Any]) -> dict[str, Any]:
    sds, jsd = (_with_all_seeds(table["negative_log_likelihood"][name]) for name in ("sds", "jsd"))
    holds = all(jsd[start] < sds[start] for start in sds)
    return _claim(f"JSD's points are likelier than SDS's from every start, {when}", holds, sds, jsd)


def _with_all_seeds(by_start: dict[str, dict[str, float]]) -> dict[str, float]:
    return {start: values[max(values, key=int)] for start, values in by_start.items()}
