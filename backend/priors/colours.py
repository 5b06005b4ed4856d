"""Words for colours, and how far two colours are apart.

Distances are taken in Oklab (Björn Ottosson, "A perceptual color space for image processing", 2020), where equal steps
look equal.  Names are CSS's, as PIL knows them, except those whose CSS value no real object has ("red" is the red of
a lamp) and those that CSS lacks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ImageColor

Colour = tuple[float, float, float]  # sRGB in [0,1]

OWN = {
    "red": "#c4161c", "green": "#2e8b2e", "blue": "#1f4fc4", "yellow": "#f2c81b", "orange": "#ee7a12",
    "purple": "#7a2f9e", "violet": "#7f3fbf", "pink": "#f27ba6", "brown": "#7a4a26", "black": "#1c1c1e",
    "white": "#f4f3f0", "grey": "#858585", "cyan": "#1fb8cc", "magenta": "#c8248c", "lime": "#8fd01f",
    "gold": "#d4a62a", "silver": "#c3c5c9", "navy": "#1a2a5e", "scarlet": "#d5281b", "crimson": "#b01030",
    "burgundy": "#6b1526", "maroon": "#701a22", "ruby": "#9b1137", "cherry": "#a31a2e", "rose": "#e8738f",
    "rust": "#a8471f", "terracotta": "#c2613f", "copper": "#b5683a", "bronze": "#8c6a35", "brass": "#b5993f",
    "amber": "#e39a1a", "mustard": "#cfa21e", "lemon": "#f3df3a", "ochre": "#c5852a", "cream": "#f3e8cc",
    "beige": "#d9c7a3", "ivory": "#f3eedd", "tan": "#c7a277", "caramel": "#b0702f", "chestnut": "#74361f",
    "chocolate": "#54301c", "walnut": "#5b3d28", "olive": "#75782b", "emerald": "#149a5f", "jade": "#2f9c72",
    "mint": "#a2e0c3", "teal": "#157f80", "turquoise": "#2fc3b9", "aqua": "#39c5cf", "azure": "#2d86e0",
    "cobalt": "#1d47ab", "sapphire": "#163c9c", "indigo": "#3b2a85", "lavender": "#b9a3e3", "lilac": "#c3a2d6",
    "mauve": "#a77a9c", "plum": "#77345f", "fuchsia": "#d32793", "peach": "#f7bd96", "apricot": "#f2aa70",
    "salmon": "#ef8a75", "coral": "#f2775c", "charcoal": "#36383c", "anthracite": "#2f3338", "slate": "#5d6b7a",
    "vermilion": "#d93a22", "champagne": "#e8d8b5", "khaki": "#a89c6b", "sand": "#d8c292",
}  # fmt: skip
SAME = {
    "gray": "grey", "golden": "gold", "silvery": "silver", "reddish": "red", "greenish": "green", "bluish": "blue",
    "yellowish": "yellow", "brownish": "brown", "pinkish": "pink", "purplish": "purple", "whitish": "white",
    "blackish": "black", "greyish": "grey", "grayish": "grey", "coppery": "copper", "bloodred": "crimson",
}  # fmt: skip
SHADES = {  # towards which colour, and how far
    "light": ("#ffffff", 0.45), "pale": ("#ffffff", 0.5), "pastel": ("#ffffff", 0.5), "dark": ("#000000", 0.4),
    "deep": ("#000000", 0.25), "bright": ("#ffffff", 0.0), "vivid": ("#ffffff", 0.0), "baby": ("#ffffff", 0.5),
    "sky": ("#ffffff", 0.4), "navy": ("#000000", 0.5), "royal": ("#000000", 0.0), "forest": ("#000000", 0.45),
    "hot": ("#ff0080", 0.4), "neon": ("#ffffff", 0.0), "dusty": ("#858585", 0.35), "blood": ("#000000", 0.2),
}  # fmt: skip
# Names of colours that also name things: colours only where they describe something else.
THINGS = frozenset(
    "orange rose cherry lemon peach plum apricot lime olive mint salmon coral violet lavender lilac chocolate caramel "
    "cream copper bronze brass gold silver rust sand slate walnut chestnut emerald ruby jade sapphire champagne "
    "mustard charcoal amber".split()
)
# CSS colours whose names are rarely used as colours.
NO_COLOURS = frozenset("peru bisque gainsboro linen snow wheat seashell thistle moccasin orchid tomato".split())

GREY = 0.08  # chroma relative to lightness below which the hue is not used
SHADES_OF_GREY = 0.13  # difference of lightness within greys of one name
SAME_HUE = 0.95  # cosine of 18 degrees
MUTED = 0.065  # distance below which muted colours such as browns match whatever their hue
PALER, STRONGER = 0.65, 1.8  # limits of chroma, relative to a named colour's, within which the name fits
LIGHTER_OR_DARKER = 0.16


def colour_of(word: str) -> Colour | None:
    """sRGB of a colour's name, None for other words."""
    word = SAME.get(word, word)
    if word in OWN:
        return _srgb(OWN[word])
    if word in NO_COLOURS or word not in ImageColor.colormap:
        return None
    return _srgb(word)


def shaded(colour: Colour, shade: str) -> Colour:
    """A colour changed by a word before it: "light" green."""
    towards, share = SHADES[shade]
    mixed = (1 - share) * np.array(colour) + share * np.array(_srgb(towards))
    return float(mixed[0]), float(mixed[1]), float(mixed[2])


def oklab(srgb: ArrayLike) -> NDArray[np.float32]:
    """sRGB (..., 3) in [0,1] -> lightness and the two colour axes (..., 3)."""
    return np.asarray(np.cbrt(_linear(np.asarray(srgb, np.float32)) @ LMS.T) @ LAB.T, np.float32)


def oklab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """As `oklab`, of bytes (..., 3)."""
    return np.asarray(np.cbrt(_LINEAR[pixels] @ LMS.T) @ LAB.T, np.float32)


def bytes_of(lab: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Oklab (..., 3) as sRGB bytes; colours outside sRGB are clipped."""
    linear = (lab @ np.linalg.inv(LAB.T).astype(np.float32)) ** 3 @ np.linalg.inv(LMS.T).astype(np.float32)
    return np.asarray(_BYTES[np.clip(linear * LEVELS, 0, LEVELS).astype(np.int32)])


def same_colour(srgb: ArrayLike, wanted: Colour) -> NDArray[np.bool_]:
    """Whether sRGB colours (..., 3) would get the name of the wanted one, in light and in moderate shade."""
    lab, other = oklab(srgb), oklab(wanted)
    tints, tint = lab[..., 1:] / np.maximum(lab[..., :1], 0.25), other[1:] / max(float(other[0]), 0.25)
    length, lengths = float(np.hypot(*tint)), np.hypot(*np.moveaxis(tints, -1, 0))
    apart = np.abs(lab[..., 0] - other[0])
    near = np.hypot(*np.moveaxis(tints - tint, -1, 0))
    if length < GREY:
        return np.asarray((near < GREY / 2) & (apart < SHADES_OF_GREY))
    alike = tints @ tint / np.maximum(lengths * length, 1e-6)
    strong = (lengths > length * PALER) & (lengths < length * STRONGER)
    return np.asarray(((alike > SAME_HUE) | (near < MUTED)) & strong & (apart < LIGHTER_OR_DARKER))


def wooden(srgb: ArrayLike) -> NDArray[np.bool_]:
    """Whether a colour may be that of wood: a brown, from beech to walnut."""
    lightness, a, b = np.moveaxis(oklab(srgb), -1, 0)
    hue, chroma = np.degrees(np.arctan2(b, a)), np.hypot(a, b)
    return np.asarray(
        (hue > 40) & (hue < 90) & (chroma > 0.035) & (chroma < 0.15) & (lightness > 0.25) & (lightness < 0.85)
    )


def metallic(srgb: ArrayLike) -> NDArray[np.bool_]:
    """Whether a colour may be that of bare metal: a grey."""
    lightness, a, b = np.moveaxis(oklab(srgb), -1, 0)
    return np.asarray((np.hypot(a, b) < 0.03) & (lightness > 0.4) & (lightness < 0.88))


def _srgb(name: str) -> Colour:
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red / 255, green / 255, blue / 255


LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    np.float32,
)
LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ],
    np.float32,
)
LEVELS = 16383  # steps of linear light, fine enough for the darkest bytes


def _linear(srgb: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear(np.linspace(0, 1, 256, dtype=np.float32))
# The byte nearest to each level: the number of midpoints between bytes that lie below it.
_BYTES = np.searchsorted((_LINEAR[1:] + _LINEAR[:-1]) / 2, np.arange(LEVELS + 1) / LEVELS).astype(np.uint8)
