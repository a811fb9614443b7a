"""Trades and the best prices of an instrument as they come, from NATS.

    live.py [EXCHANGE] [SYMBOL] [COUNT]

Needs nats-py. The live plane is at most once: who is slow loses records, and sees it by
their sequence numbers. What must not be missed is read from the store.
"""

import asyncio
import json
import os
import sys

import nats

URL = os.environ.get("MARKETPRISM_NATS", "nats://127.0.0.1:4222")


async def main(exchange="binance", symbol="BTC-USDT", count="10"):
    left, done = int(count), asyncio.Event()
    client = await nats.connect(
        URL, user=os.environ.get("MARKETPRISM_NATS_USER"), password=os.environ.get("MARKETPRISM_NATS_PASSWORD")
    )

    async def show(message):
        nonlocal left
        record = json.loads(message.data)
        left -= 1
        if left < 0:
            return
        if record["kind"] == "trade":
            print("trade", record["id"], record["price"], record["amount"], record["side"], flush=True)
        else:
            print("best", record["bid_price"], record["ask_price"], flush=True)
        if left == 0:
            done.set()

    for kind in ("trade", "book_ticker"):
        await client.subscribe(f"md.v1.{kind}.{exchange}.spot.{symbol}", cb=show)
    await done.wait()
    await client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
