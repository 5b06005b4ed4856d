"""The old name of `waker`, for the backend's imports: delete this file once they say `shared.waker`."""

from .waker import Waker


class Bell(Waker):
    """A Waker with the old names of its methods."""

    ring = Waker.wake
    silence = Waker.clear
