"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is the machine's business, not the test's. `--hypothesis-profile thorough` tries more.
settings.register_profile("mailwire", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("mailwire")

pytest_plugins = ["mailwire.testing.pytest_plugin", "pytester"]
