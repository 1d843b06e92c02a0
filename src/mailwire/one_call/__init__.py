"""One call: all that one mail, or one look into a maildrop, takes.

The front, `mailwire`, offers both. Nothing is imported here, so that who sends mail does not load what retrieves it.
"""

__all__: list[str] = []
