"""What the page about task queues says of Celery's settings, where that can be tried without a broker."""

import importlib
import re
from typing import Any

import pytest

from tests.docs.test_figures import rows
from tests.integration.conftest import demand_libraries


@pytest.fixture
def app() -> Any:
    demand_libraries("celery")
    made = importlib.import_module("celery").Celery("example", broker="memory://", backend="cache+memory://")
    made.conf.task_always_eager = True
    return made


def test_the_settings_that_are_named_are_celerys(app: Any) -> None:
    text = " ".join(cells[1] for cells in rows("howto/send-through-a-task-queue.md", "here"))
    named = set(re.findall(r"`\"?((?:task|worker|broker|accept)_\w+)", text))
    assert named == {
        *("accept_content", "broker_transport_options", "task_reject_on_worker_lost", "worker_prefetch_multiplier"),
    }
    assert named <= set(app.conf)
    assert tuple(app.conf.accept_content) == ("json",)  # without pickle
    assert not app.conf.task_reject_on_worker_lost
    task = app.Task()
    assert not task.acks_late
    assert task.max_retries == 3
    demand_libraries("redis")
    assert importlib.import_module("kombu.transport.redis").Channel.visibility_timeout == 3600


@pytest.mark.parametrize(
    ("settings", "arguments", "runs"), [({"max_retries": None}, {}, 9), ({}, {"max_retries": None}, 4)]
)
def test_a_task_is_retried_for_ever_if_that_was_said_where_it_was_made(
    app: Any, settings: dict[str, None], arguments: dict[str, None], runs: int
) -> None:
    begun = 0

    def send(self: Any) -> str:
        nonlocal begun
        begun += 1
        if begun < 9:
            raise self.retry(countdown=0, **arguments)
        return "sent"

    result = app.task(bind=True, name="send", **settings)(send).apply()
    assert begun == runs
    assert result.successful() == (runs == 9)
