"""The asyncio side: the only modules that do network I/O. They move bytes, keep deadlines, and wait.

The front, `mailwire`, offers what is for everybody. Nothing is imported here, so that who sends mail does not load what
retrieves it.
"""

__all__: list[str] = []
