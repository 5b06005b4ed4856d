"""The one kind of error that a user reads."""


class UserError(ValueError):
    """Something the user can mend: one sentence that names the field or file and says what to do."""
