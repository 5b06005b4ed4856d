"""The old name of `ply_axes`, for the backend's imports: delete this file once they say `shared.ply_axes`."""

from .ply_axes import HEADER_COMMENT as MARK
from .ply_axes import ply_columns as layout
from .ply_axes import read_convention as told_by
from .ply_axes import to_y_down as y_down
from .ply_axes import to_z_up as z_up

__all__ = ["MARK", "layout", "told_by", "y_down", "z_up"]
