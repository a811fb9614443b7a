"""One-minute candles of an instrument by SQL over the Parquet files of this machine.

    parquet.py [EXCHANGE] [SYMBOL]

Needs duckdb. The node says which files there are, hot and cold; they are read while it
runs. What has arrived within the last seconds is in no file yet.
"""

import json
import os
import sys
import urllib.request

import duckdb

URL = os.environ.get("MARKETPRISM_URL", "http://127.0.0.1:8083")


def files(kind):
    request = urllib.request.Request(f"{URL}/api/v1/storage/parts?kind={kind}")
    if key := os.environ.get("MARKETPRISM_KEY"):
        request.add_header("X-API-Key", key)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [part["path"] for part in json.load(answer)["data"]]


def main(exchange="binance", symbol="BTC-USDT"):
    duckdb.sql("set TimeZone = 'UTC'")
    duckdb.read_parquet(files("trade"), union_by_name=True).create_view("trades")
    rows = duckdb.sql(
        """
        select time_bucket(interval 1 minute, ts::timestamp) as minute, arg_min(price, ts_ns) as open, max(price) as high,
               min(price) as low, arg_max(price, ts_ns) as close, sum(amount) as volume, count(*) as trades
        from (select distinct on (ts_ns, trade_id) * from trades where exchange = $exchange and symbol = $symbol and market = 'spot')
        group by minute order by minute
        """,
        params={"exchange": exchange, "symbol": symbol},
    ).fetchall()
    print("minute,open,high,low,close,volume,trades")
    for row in rows:
        print(*row, sep=",")


if __name__ == "__main__":
    main(*sys.argv[1:])
