"""The one exception that a door turns into a single line instead of a traceback."""


class UserError(Exception):
    """Something the user can mend; the message is one line that says how."""
