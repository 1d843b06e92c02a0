"""Send mail and collect mailboxes from any number of machines: mailwire in the tasks of taskiq, over streams of Redis.

job.py          what a task carries: where to, from whom, to whom, and the octets of the message
verdict.py      what is to be done by what is known: nothing, once more later, or a dead letter
ledger.py       what is known of each mail, in Redis, and who is at work on it
leases.py       what a worker holds for as long as it says so
slots.py        how many connections to a host there may be at once, over all workers
credentials.py  passwords, which the workers have and Redis has not
settings.py     what differs from one installation to another
broker.py       the queue
sending.py      the tasks that send
collecting.py   the task that collects

Workers and the scheduler are started with

    taskiq worker taskiq_mail.broker:broker taskiq_mail.sending taskiq_mail.collecting
    taskiq scheduler taskiq_mail.broker:scheduler taskiq_mail.sending taskiq_mail.collecting
"""
