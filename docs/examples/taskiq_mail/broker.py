"""The queue: a stream of Redis, from which a task is gone when it was acknowledged and not before."""

from redis.asyncio import Redis
from taskiq import TaskiqEvents, TaskiqScheduler, TaskiqState
from taskiq.schedule_sources import LabelScheduleSource
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from taskiq_mail.settings import SETTINGS

STREAM = GROUP = "mail"

broker = RedisStreamBroker(
    SETTINGS.redis,
    queue_name=STREAM,
    consumer_group_name=GROUP,
    # From the beginning: by default, what was queued before the first worker ever started is not given to any.
    consumer_id="0",
    # Milliseconds after which a task that was not acknowledged goes to another worker: later than a claim lapses.
    idle_timeout=int(SETTINGS.lease * 2000),
    # By default, who is killed while he looks for such tasks may keep all others from looking, for ever.
    unacknowledged_lock_timeout=SETTINGS.lease,
    # What a worker has fetched, and is not at work on, grows idle too.
    xread_count=10,
).with_result_backend(
    # In JSON: by default results are pickled, and who can write to Redis can run code in whoever reads them.
    RedisAsyncResultBackend(SETTINGS.redis, serializer=JSONSerializer(), result_ex_time=24 * 3600)
)
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def connect(state: TaskiqState) -> None:
    state.redis = Redis.from_url(SETTINGS.redis)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def disconnect(state: TaskiqState) -> None:
    await state.redis.aclose()


# A stream keeps what was acknowledged. What no worker will ask for again stands before the oldest entry that was
# given out and not acknowledged, or, if there is none, before the last that was given out.
_TRIM = """
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local entry = {}
    for i = 1, #group, 2 do entry[group[i]] = group[i + 1] end
    if entry['name'] == ARGV[1] then
        local oldest = redis.call('XPENDING', KEYS[1], ARGV[1])[2]
        return redis.call('XTRIM', KEYS[1], 'MINID', '=', oldest or entry['last-delivered-id'])
    end
end
return 0
"""


async def forget_acknowledged(redis: Redis) -> int:
    """Take out of the stream what was acknowledged, and return how many entries that were."""
    return int(await redis.eval(_TRIM, 1, STREAM, GROUP))
