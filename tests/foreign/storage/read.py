"""Reads the files of a store that is being written, with DuckDB, pyarrow and pandas.

Reads one JSON object from standard input:

    url      of the storage service
    cold     the cold store's directory
    symbols  of the exchange "lab" whose rows are complete
    looks    how often to look at least
    seconds  how long to look at most, until files were seen in both tiers

and prints one: for each look what each tool counted and summed in the files that the
service listed, beside what the service answered; the same of the service's own answers
in Parquet; and what the tools take the columns for. A failure is an exception, a traceback and an exit code.
"""

import decimal
import json
import sys
import time
import urllib.request

import duckdb
import pandas
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

task = json.load(sys.stdin)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(path):
    with opener.open(task["url"] + "/api/v1/storage/" + path, timeout=60) as answer:
        return answer.read()


def service(symbol):
    """Count and turnover as the service answers, exactly."""
    count, total = 0, decimal.Decimal(0)
    for line in get(f"query/trade/lab/{symbol}?format=ndjson").splitlines():
        row = json.loads(line, parse_float=decimal.Decimal)
        count += 1
        total += decimal.Decimal(row["price"]) * decimal.Decimal(row["amount"])
    return [count, float(total)]


def with_duckdb(files, symbol):
    return list(duckdb.connect().execute(
        "select count(*), sum(price * amount) from read_parquet(?, union_by_name = true) where exchange = 'lab' and symbol = ?",
        [files, symbol]).fetchone())


def with_pyarrow(files, symbol):
    rows = ds.dataset(files, format="parquet").to_table(
        columns=["price", "amount"], filter=(pc.field("exchange") == "lab") & (pc.field("symbol") == symbol))
    return [rows.num_rows, pc.sum(pc.multiply(rows["price"], rows["amount"])).as_py()]


def with_pandas(files, symbol):
    count, total = 0, 0.0
    for file in files:
        f = pandas.read_parquet(file, columns=["exchange", "symbol", "price", "amount"], filters=[("exchange", "=", "lab"), ("symbol", "=", symbol)], partitioning=None)
        count += len(f)
        total += float((f["price"] * f["amount"]).sum())
    return [count, total]


def hive(cold, symbol):
    """The cold rows of a symbol by day, the partitions found by two tools."""
    duck = duckdb.connect().execute(
        "select strftime(date, '%Y-%m-%d'), count(*) from read_parquet(?, hive_partitioning = true, hive_types = {'date': DATE}) "
        "where exchange = 'lab' and symbol = ? group by all order by all", [cold, symbol]).fetchall()
    found = ds.dataset(cold, format="parquet", partitioning=ds.partitioning(flavor="hive"), partition_base_dir=task["cold"])
    arrow = found.to_table(columns=["date"], filter=pc.field("symbol") == symbol).group_by("date").aggregate([([], "count_all")])
    return {
        "duckdb": [list(row) for row in duck],
        "pyarrow": sorted([str(d), n] for d, n in zip(arrow["date"].to_pylist(), arrow["count_all"].to_pylist())),
    }


looks = []
ends = time.monotonic() + task["seconds"]
seen = set()
while len(looks) < task["looks"] or len(seen) < 2 and time.monotonic() < ends:
    listed = json.loads(get("parts?kind=trade"))["data"]
    files = [p["path"] for p in listed]
    cold = [p["path"] for p in listed if p["tier"] == "cold"]
    seen |= {p["tier"] for p in listed}
    look = {"files": len(files), "cold": len(cold), "symbols": {}}
    for symbol in task["symbols"]:
        look["symbols"][symbol] = {
            "service": service(symbol), "duckdb": with_duckdb(files, symbol),
            "pyarrow": with_pyarrow(files, symbol), "pandas": with_pandas(files, symbol),
        }
    if cold:
        look["hive"] = hive(cold, task["symbols"][0])
    looks.append(look)

answers = {}
for symbol in task["symbols"]:
    # The service's own Parquet, opened as a user opens a download.
    table = pq.read_table(pa.BufferReader(get(f"query/trade/lab/{symbol}?format=parquet")))
    some = pq.read_table(pa.BufferReader(get(f"query/trade/lab/{symbol}?format=parquet&fields=price,amount&limit=100&order=desc")))
    answers[symbol] = {
        "counted": [table.num_rows, pc.sum(pc.multiply(table["price"], table["amount"])).as_py()],
        "ordered": table["ts_ns"].to_pylist() == sorted(table["ts_ns"].to_pylist()),
        "columns": {f.name: str(f.type) for f in table.schema},
        "some": [some.num_rows, sorted(some.schema.names)],
        "duckdb": list(duckdb.sql("select count(*), sum(price * amount) from \"table\"").fetchone()),
    }

frame = pandas.read_parquet(files[0], partitioning=None)
schema = ds.dataset(files, format="parquet").schema
print(json.dumps({
    "versions": {"duckdb": duckdb.__version__, "pandas": pandas.__version__},
    "looks": looks, "seen": sorted(seen), "answers": answers,
    "arrow": {f.name: str(f.type) for f in schema},
    "duckdb": dict(duckdb.connect().execute("select column_name, column_type from (describe select * from read_parquet(?))", [files]).fetchall()),
    "pandas": {name: str(kind) for name, kind in frame.dtypes.items()},
    "long": [row[0] for row in duckdb.connect().execute(
        "select distinct price_exact from read_parquet(?, union_by_name = true) where price_exact is not null", [files]).fetchall()],
}))
