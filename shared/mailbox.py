"""The old name of `message_queue`, for the backend's imports: delete this file once they say `shared.message_queue`."""

from .message_queue import MessageQueue as Mailbox

__all__ = ["Mailbox"]
