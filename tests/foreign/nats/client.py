"""Uses nats-py as any of its users would, against the NATS server that it is given.

Reads one JSON object from standard input:

    url      of the server
    stream   that keeps subject
    subject  to publish to
    count    how many messages
    durable  name of the consumer
    user     and password, when credentials are to be shown

and prints one: the streams that the library lists, the acknowledgements of what it
published, what it pulled and acknowledged, what is left of that afterwards, and what
it was refused. A failure is an exception, a traceback and an exit code.
"""

import asyncio
import json
import sys

import nats
from nats.js.api import ConsumerConfig


async def refused(js, nc, errors):
    """What a client may not do: each is answered by a permission error."""
    out = []
    for subject in ("journal.0.batch", "md.v1.trade.x.spot.X", "dlq.x", "$JS.API.STREAM.DELETE.MARKET_DATA"):
        before = len(errors)
        await nc.publish(subject, b"")
        await nc.flush()
        for _ in range(200):
            if len(errors) > before:
                break
            await asyncio.sleep(0.01)
        out.append({"subject": subject, "error": str(errors[-1]) if len(errors) > before else ""})
    return out


async def main(task):
    errors = []

    async def failed(e):
        errors.append(e)

    options = {"user": task["user"], "password": task["password"]} if task.get("user") else {}
    nc = await nats.connect(task["url"], error_cb=failed, **options)
    try:
        js = nc.jetstream()
        streams = [s.config.name for s in await js.streams_info()]
        acks = []
        for n in range(task["count"]):
            ack = await js.publish(task["subject"], json.dumps({"n": n}).encode(), headers={"Nats-Msg-Id": f"{task['subject']}-{n}"})
            acks.append({"stream": ack.stream, "seq": ack.seq})
        again = await js.publish(task["subject"], b"{}", headers={"Nats-Msg-Id": f"{task['subject']}-0"})
        sub = await js.pull_subscribe(task["subject"], task["durable"], config=ConsumerConfig(ack_wait=30))
        pulled = []
        while len(pulled) < task["count"]:
            for m in await sub.fetch(min(50, task["count"] - len(pulled)), timeout=20):
                pulled.append(json.loads(m.data)["n"])
                await m.ack_sync()
        left = await js.consumer_info(task["stream"], task["durable"])
        return {
            "streams": streams,
            "acks": acks,
            "duplicate": bool(again.duplicate),
            "pulled": pulled,
            "pending": left.num_pending,
            "unacknowledged": left.num_ack_pending,
            "refused": await refused(js, nc, errors),
        }
    finally:
        await nc.close()


json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
