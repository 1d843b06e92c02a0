"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is the machine's business, not the test's.
settings.register_profile("mailwire", deadline=None)
settings.load_profile("mailwire")

pytest_plugins = ["mailwire.testing.pytest_plugin", "pytester"]
