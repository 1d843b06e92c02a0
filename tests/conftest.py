"""What holds for all tests."""

from hypothesis import Phase, settings

# How long an example takes is the machine's business, not the test's. `--hypothesis-profile thorough` tries more.
settings.register_profile("mailwire", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
# A test that fails under a mutant has done its work: nobody asks for the least example.
settings.register_profile(
    "mutants", deadline=None, max_examples=40, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mailwire")

pytest_plugins = ["mailwire.testing.pytest_plugin", "pytester"]
