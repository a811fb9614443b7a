"""Reads a cold store as other people's tools do, and says what it found.

Usage: read.py ROOT FILES ANSWER, where FILES is a JSON list of paths and ANSWER the
answer of a query. Prints one JSON object: the whole tree by hive partitions, the
listed files, and the answer.
"""

import json
import sys

import duckdb

root, files = sys.argv[1], json.load(open(sys.argv[2]))
db = duckdb.connect()


def one(query, *values):
    return db.execute(query, list(values)).fetchone()


tree = f"read_parquet('{root}/trades/*/*/*/*/*.parquet', hive_partitioning = true, hive_types = {{'date': DATE}})"
count, price, low, high = one(f"select count(*), sum(price), epoch_us(min(ts)), epoch_us(max(ts)) from {tree}")
parts = db.execute(
    f"select exchange, market, symbol, strftime(date, '%Y-%m-%d'), count(*), sum(price), count(distinct trade_id) from {tree} group by all order by all"
).fetchall()
pruned = one(f"select count(*) from {tree} where date = DATE '2021-05-19'")[0]
ns = one(f"select count(*) from {tree} where ts_ns // 1000 = epoch_us(ts)")[0]
listed = one("select count(*), sum(price) from read_parquet(?, union_by_name = true)", files)
answered = one("select count(*), sum(price) from read_parquet(?) where ts_ns // 1000 = epoch_us(ts)", sys.argv[3])
print(json.dumps({
    "version": duckdb.__version__, "count": count, "price": price, "low": low, "high": high,
    "partitions": [list(p) for p in parts], "pruned": pruned, "exact": ns, "listed": list(listed), "answered": list(answered),
}))
