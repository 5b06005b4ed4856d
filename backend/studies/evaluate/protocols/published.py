"""Figures that papers and pages publish, each with the place where it was read.

Only what was read is here.  Where a figure was read in this project's notes on a paper, and not in the paper's own
table, its source says "as noted".
"""

from __future__ import annotations

from backend.studies.evaluate.protocols.rows import Row

LEADERBOARD = "t3bench.com, leaderboard"
JSD_T3 = "Do and Hua, JSD, as noted; the table was not read"
JSD_DIVERSITY = "Do and Hua, JSD, as noted; the table was not read, nor which of the two IVs it has"
DREAMMAPPING = "Cai et al., 2409.05099, as noted; the table was not read"


def _t3(method: str, average: float | None, sets: tuple[float, float, float], source: str) -> Row:
    values = {f"{name} average": value for name, value in zip(("single", "surr", "multi"), sets, strict=True)}
    return Row(method, values | ({} if average is None else {"average": average}), source)


PUBLISHED: dict[str, tuple[Row, ...]] = {
    "t3bench": (
        _t3("ProlificDreamer", 43.3, (49.4, 44.8, 35.8), LEADERBOARD),
        _t3("Magic3D", 32.7, (37.0, 35.4, 25.7), LEADERBOARD),
        _t3("LatentNeRF", 28.1, (33.1, 30.6, 20.6), LEADERBOARD),
        _t3("Fantasia3D", 24.0, (26.4, 27.0, 18.5), LEADERBOARD),
        _t3("DreamFusion", 21.7, (24.4, 24.6, 16.1), LEADERBOARD),
        _t3("SJC", 18.7, (24.7, 19.8, 11.7), LEADERBOARD),
        _t3("JSD", None, (56.15, 52.5, 45.7), JSD_T3),
    ),
    "dreammapping": (
        Row("DreamMapping", {"CLIP ViT-L/14": 30.16, "CLIP ViT-bigG-14": 42.10, "3D-FID": 139.03}, DREAMMAPPING),
    ),
    "diversedream": (Row("JSD", {"IV": 5.678, "cosine": 0.668}, JSD_DIVERSITY),),
}
