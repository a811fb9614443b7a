"""All trades of an instrument within a time, page by page, and whether they are complete.

    history.py [EXCHANGE] [SYMBOL] [FROM] [TO]

FROM and TO are dates or RFC 3339; without them it is everything that is stored. Needs
nothing but Python. Prints the number of trades, their volume and average price, and the
gaps that the collector knows of.
"""

import json
import os
import sys
import urllib.parse
import urllib.request
from decimal import Decimal

URL = os.environ.get("MARKETPRISM_URL", "http://127.0.0.1:8083")
PAGE = 10_000


def ask(path, **params):
    """Asks the gateway; an error is an exception with what the program says of it."""
    query = urllib.parse.urlencode({k: v for k, v in params.items() if v})
    request = urllib.request.Request(f"{URL}/api/v1/{path}?{query}")
    if key := os.environ.get("MARKETPRISM_KEY"):
        request.add_header("X-API-Key", key)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            # Decimals are text, with the exchange's own digits.
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{error.code} {error.read().decode()}") from error


def rows(kind, exchange, symbol, begin, end):
    """Yields each record once, in order, however many arrive meanwhile."""
    cursor = ""
    while True:
        page = ask(
            f"storage/query/{kind}/{exchange}/{symbol}",
            **{"market": "spot", "from": begin, "to": end, "limit": PAGE, "cursor": cursor, "decimals": "string"},
        )
        yield from page["data"]
        cursor = page.get("next_cursor", "")
        if not cursor or page["count"] < PAGE:
            return


def main(exchange="binance", symbol="BTC-USDT", begin="", end=""):
    count, volume, turnover = 0, Decimal(0), Decimal(0)
    for t in rows("trade", exchange, symbol, begin, end):
        amount, price = Decimal(t["amount"]), Decimal(t["price"])
        count, volume, turnover = count + 1, volume + amount, turnover + amount * price
    print(f"{count} trades, volume {volume}, average price {turnover / volume if volume else '-'}")
    gaps = [g for g in rows("gap", exchange, symbol, begin, end) if g["channel"] == "trade" and g["outcome"] != "healed"]
    print(f"{len(gaps)} gaps of trades that were not healed")


if __name__ == "__main__":
    main(*sys.argv[1:])
