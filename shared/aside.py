"""The old name of `existing_files`, for the backend: delete this file once it imports `shared.existing_files`."""

from .existing_files import rename_existing as set_aside

__all__ = ["set_aside"]
