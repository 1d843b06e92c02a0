"""Which blocks the tests in this folder do not run: those that other tests do, and the few that none can.

Both are named by their file and their first line. A test sees to it that each name is that of a block.
"""

from typing import Final

__all__ = ["EXEMPT", "RUN_ELSEWHERE"]

Name = tuple[str, str]

_GUIDE: Final = "docs/howto/test-your-mail-code.md"
_GUIDE_TEST: Final = "tests/testing/test_pytest_plugin.py::test_the_examples_of_the_documentation_pass"
_QUEUE: Final = "docs/howto/send-through-a-task-queue.md"

RUN_ELSEWHERE: Final[dict[Name, str]] = {
    (_GUIDE, "# conftest.py"): _GUIDE_TEST,
    (_GUIDE, "# test_invoices.py"): _GUIDE_TEST,
    (_GUIDE, "# test_newsletter.py"): _GUIDE_TEST,
    (_GUIDE, "# test_settings.py"): _GUIDE_TEST,
    (_GUIDE, "# test_doubt.py"): _GUIDE_TEST,
    (_GUIDE, "# test_greylisting.py"): _GUIDE_TEST,
    (_GUIDE, "# test_retries.py"): _GUIDE_TEST,
    (_QUEUE, "taskiq worker taskiq_mail.broker:broker taskiq_mail.sending taskiq_mail.collecting"): (
        "tests/integration/test_task_queue.py::test_the_commands_of_the_documentation_work"
    ),
    ("src/mailwire/errors.py", "MailwireError"): "tests/test_errors.py::test_the_tree_is_as_it_is_drawn",
}
"""The test that runs a block."""

EXEMPT: Final[dict[Name, str]] = {
    (
        "README.md",
        "python3 -m venv .venv && .venv/bin/pip install -q . && .venv/bin/mailwire demo",
    ): ".ci/run takes it out of the page and runs it, in a clone",
    (
        "README.md",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest",
    ): ".ci/run takes it out of the page and runs it, in a clone: it is the suite itself",
    ("docs/tutorial/index.md", "python3 -m venv .venv"): "the beginning of the README's command",
    ("docs/contributing.md", "python3 -m venv .venv"): "the beginning of .ci/run, and then the suite itself",
    (
        "docs/contributing.md",
        ".venv/bin/ruff check . && .venv/bin/ruff format --check .",
    ): "what .ci/run does besides the suite",
    (
        "docs/contributing.md",
        ".venv/bin/python -m pytest --hypothesis-profile thorough tests/*/test_*_model.py tests/maildrop/test_plan.py",
    ): "takes minutes",
    (_QUEUE, "pip install taskiq taskiq-redis"): "what .ci/run installs for the suite",
    ("docs/howto/watch-a-session.md", "SSLKEYLOGFILE=/tmp/keys.log python3 program.py"): "takes root and Wireshark",
    ("docs/explanation/reliability.md", ".venv/bin/python -m tests.long_tier"): "takes days",
    ("docs/explanation/reliability.md", ".venv/bin/python -m pytest -m exhaustive"): "takes hours",
    ("docs/explanation/reliability.md", ".venv/bin/python -m pytest --loop uvloop"): "takes as long as the suite",
    (
        "docs/explanation/reliability.md",
        ".venv/bin/python -m tests.fuzzing smtp_session -runs=10000000",
    ): "takes hours, and atheris",
    (
        "docs/explanation/reliability.md",
        ".venv/bin/python -m pytest -m hypothesis --hypothesis-profile utmost",
    ): "takes hours",
    ("docs/explanation/reliability.md", ".venv/bin/python -m tests.hostile.peaks"): "takes minutes",
    ("docs/explanation/reliability.md", ".venv/bin/python -m tests.mutation smtp/paths smtp/options"): "takes minutes",
    ("docs/explanation/fairness.md", "apt-get install msmtp mpop fetchmail curl"): "installs programs of the system",
    (
        "src/mailwire/sasl/scram.py",
        "C: client-first    n,,n=user,r=NONCE                      channel binding, user, nonce",
    ): ("a dialogue in words; tests/sasl/test_scram.py has it in octets"),
}
"""The reason why nobody runs a block."""
