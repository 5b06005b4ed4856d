"""Wrong arguments are named."""

import pytest
import torch
from render_scenes import cloud, view

from backend.render import rasterization
from backend.render.arguments import RenderError

GOOD = cloud(5) | view(2, 8)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("means", torch.zeros(5, 2)),
        ("means", torch.zeros(())),
        ("quats", torch.zeros(5, 3)),
        ("scales", torch.zeros(4, 3)),
        ("opacities", torch.zeros(5, 1)),
        ("colors", torch.zeros(5, 4)),
        ("colors", torch.zeros(3, 5, 3)),
        ("colors", torch.zeros(5, 3, dtype=torch.float64)),
        ("viewmats", torch.zeros(2, 3, 4)),
        ("Ks", torch.zeros(1, 3, 3)),
        ("backgrounds", torch.zeros(3)),
        ("means", torch.zeros(5, 3, dtype=torch.float64)),
        ("opacities", torch.zeros(5, device="meta")),
        ("width", 0),
        ("render_mode", "XYZ"),
        ("sh_degree", 4),
        ("sh_degree", 1),  # colours without harmonics
    ],
)
def test_the_message_names_the_argument(name, value):
    rendered = "colors" if name == "sh_degree" and value == 1 else name
    with pytest.raises(RenderError, match=rendered) as caught:
        rasterization(**(GOOD | {name: value}))
    assert str(caught.value).endswith(".")
    assert ". " not in str(caught.value)


def test_too_few_harmonics():
    with pytest.raises(RenderError, match="K >= 9"):
        rasterization(**(GOOD | {"colors": torch.zeros(5, 4, 3)}), sh_degree=2)
