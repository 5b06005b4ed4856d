"""Settings refuse what cannot work, and name the field."""

import msgspec
import pytest

from backend.scenes.settings import SplatSettings


def test_defaults_pass_their_own_limits():
    settings = SplatSettings()
    assert msgspec.convert(msgspec.to_builtins(settings), SplatSettings) == settings


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"initial_count": 0}, "initial_count"),
        ({"lr_means": 0.0}, "lr_means"),
        ({"lr_means_until": 0.0}, "lr_means_until"),
        ({"growth": "fast"}, "growth"),
        ({"sh_degree": 4}, "sh_degree"),
        ({"tv_colour_weight": -1.0}, "tv_colour_weight"),
        ({"refine_start": 0.9, "refine_stop": 0.1}, "refine_start"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_values_are_refused_by_name(fields, named):
    with pytest.raises(msgspec.ValidationError, match=named):
        msgspec.convert(fields, SplatSettings)


def test_every_field_is_described():
    properties = msgspec.json.schema(SplatSettings)["$defs"]["SplatSettings"]["properties"]
    assert [name for name, field in properties.items() if "description" not in field] == []
