"""Uses ccxt as any of its users would, against the addresses that it is given.

Reads one JSON object from standard input:

    exchange  ccxt's name of the exchange
    symbol    ccxt's name of the instrument
    urls      {"api.ws.spot": "ws://..."}: what to replace in the library's urls
    options   {"defaultType": "swap"}: options of the library
    trades    params of fetch_trades
    enough    {"trades": n, "books": n}: how much to watch
    levels    how many levels of a book to print
    seconds   after which watching ends in any case

and prints one: what the library made of the answers. Numbers are the library's
own, floats. A failure is an exception, a traceback and an exit code.
"""

import asyncio
import json
import sys

import ccxt
import ccxt.pro


def replace(tree, path, value):
    *way, last = path.split(".")
    for key in way:
        tree = tree[key]
    if last not in tree:
        raise KeyError(f"the library has no url {path}")
    tree[last] = value


def levels(side, n):
    return [[level[0], level[1]] for level in side[:n]]


def book(b, n):
    return {"seq": b["nonce"], "time": b["timestamp"], "bids": levels(b["bids"], n), "asks": levels(b["asks"], n)}


def trade(t):
    return {"id": t["id"], "time": t["timestamp"], "price": t["price"], "amount": t["amount"], "side": t["side"]}


async def watch_books(client, task, seen):
    while len(seen) < task["enough"]["books"]:
        b = book(await client.watch_order_book(task["symbol"]), task["levels"])
        if not seen or seen[-1]["seq"] != b["seq"]:
            seen.append(b)


async def watch_trades(client, task, seen):
    while len(seen) < task["enough"]["trades"]:
        seen += [trade(t) for t in await client.watch_trades(task["symbol"])]


async def fetch(client, task, books):
    """Asks while the streams run, once they do."""
    while len(books) < 2:
        await asyncio.sleep(0.01)
    trades = await client.fetch_trades(task["symbol"], None, 100, task.get("trades") or {})
    b = await client.fetch_order_book(task["symbol"], task["levels"])
    return [trade(t) for t in trades], book(b, task["levels"])


async def main(task):
    client = getattr(ccxt.pro, task["exchange"])({"enableRateLimit": False, "options": task.get("options") or {}})
    try:
        for path, value in task["urls"].items():
            replace(client.urls, path, value)
        markets = await client.load_markets()
        trades, books = [], []
        work = [watch_trades(client, task, trades), watch_books(client, task, books), fetch(client, task, books)]
        try:
            _, _, fetched = await asyncio.wait_for(asyncio.gather(*work), task["seconds"])
        except asyncio.TimeoutError:
            sys.exit(f"{len(trades)} trades and {len(books)} books in {task['seconds']} s")
        m = markets[task["symbol"]]
        return {
            "version": ccxt.__version__,
            "markets": len(markets),
            "market": {"id": m["id"], "base": m["base"], "quote": m["quote"], "type": m["type"], "active": m["active"]},
            "watched_trades": trades,
            "watched_books": books,
            "fetched_trades": fetched[0],
            "fetched_book": fetched[1],
        }
    finally:
        await client.close()


json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
