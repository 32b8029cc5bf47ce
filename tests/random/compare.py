"""Random queries, asked of floe and of DuckDB: the answers must be the same.

`python3 tests/random/compare.py --floe target/release/floe --queries 10000 --seed 1` (needs `pip install duckdb`). The tables are small and made of all
types with many NULLs and ties; queries (`queries.py`) are joins, aggregates, windows, subqueries, set operations and CTEs over them. Rows are
compared as a multiset, doubles to nine digits, floats to five. A query that both refuse counts as the same; the first that differs is printed with both answers.
"""

import argparse
import collections
import datetime
import decimal
import json
import math
import random
import subprocess
import sys
import tempfile

import duckdb

from queries import COLUMNS, ROWS, SMALL, TYPES, Queries, literal


def make_tables(connection, folder, seed):
    rng = random.Random(seed)
    for table, columns in COLUMNS.items():
        fields = ", ".join(f"{name} {SMALL.get(name, TYPES[kind])}" for name, kind in columns.items())
        connection.execute(f"CREATE TABLE {table} ({fields})")
        for row in range(ROWS[table]):
            values = [str(row) if name == "id" else literal(kind, rng) for name, kind in columns.items()]
            connection.execute(f"INSERT INTO {table} VALUES ({', '.join(values)})")
        connection.execute(f"COPY {table} TO '{folder}/{table}.parquet' (FORMAT parquet)")


def canonical(value):
    """A value of either engine as the same text."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, decimal.Decimal)):
        number = float(value)
        if math.isnan(number):
            return "NaN"
        if math.isinf(number):
            return "Infinity" if number > 0 else "-Infinity"
        return "0" if number == 0 else f"{number:.9g}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list):
        return f"[{', '.join(canonical(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{repr(name)}: {canonical(item)}' for name, item in value.items())}}}"
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def of_floe(value, kind):
    if value is None:
        return "NULL"
    if kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")) and not kind.endswith("]"):
        return of_number(canonical(float(value)), kind)
    return canonical(value)


def of_number(text, kind):
    """A number to as many digits as its type is sure of."""
    return canonical(float(f"{float(text):.5g}")) if kind == "FLOAT" and text[-1].isdigit() else text


class Floe:
    def __init__(self, program, folder):
        command = [program, "--format", "json-compact", "--on-error", "continue", "--threads", "2"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for table, columns in COLUMNS.items():
            # Parquet has no HUGEINT.
            fields = ", ".join(f"CAST({name} AS {SMALL.get(name, TYPES[kind])}) AS {name}" for name, kind in columns.items())
            self.ask(f"CREATE TABLE {table} AS SELECT {fields} FROM '{folder}/{table}.parquet'")

    def ask(self, sql):
        self.process.stdin.write(sql.replace("\n", " ") + ";\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"floe ended at: {sql}")
        return json.loads(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--floe", required=True)
    parser.add_argument("--queries", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0, help="the first query to ask")
    parser.add_argument("--all", action="store_true", help="do not stop at the first difference")
    arguments = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    make_tables(connection, folder.name, arguments.seed)
    floe = Floe(arguments.floe, folder.name)
    counts = collections.Counter()
    for number in range(arguments.queries):
        if number < arguments.start:
            continue
        sql = Queries(f"{arguments.seed} {number}").statement()
        try:
            expected = connection.execute(sql).fetchall()
        except duckdb.Error as error:
            expected = error
        if isinstance(expected, duckdb.Error) and any(words in str(expected) for words in ("ORDER BY non-integer literal", "DISTINCT ON non-integer literal", "ORDER term out of range", "Could not choose a best candidate")):
            # Floe takes it, as PostgreSQL does.
            counts["left out"] += 1
            continue
        found = floe.ask(sql)
        if "ORDER BY 3 is out of range" in str(found.get("error")) and "DISTINCT ON (3)" in sql:
            # DuckDB counts the columns of DISTINCT ON among those of the select list.
            counts["left out"] += 1
            continue
        if "error" in found:
            if isinstance(expected, duckdb.Error):
                counts["refused by both"] += 1
                continue
            found_rows = f"{found['error']['code']}: {found['error']['message']}"
        elif isinstance(expected, duckdb.Error):
            found_rows = None
        else:
            kinds = [column["type"] for column in found["columns"]]
            found_rows = collections.Counter(tuple(of_floe(value, kind) for value, kind in zip(row, kinds)) for row in found["rows"])
            row_of = lambda row: tuple(of_number(canonical(value), kind) for value, kind in zip(row, kinds))
            expected = collections.Counter(row_of(row) for row in expected)
            if found_rows == expected:
                counts["the same"] += 1
                counts["rows"] += sum(expected.values())
                continue
        counts["different"] += 1
        print(f"query {number} differs:\n{sql}")
        if isinstance(expected, collections.Counter) and isinstance(found_rows, collections.Counter):
            print("  DuckDB only:", list((expected - found_rows).items())[:4])
            print("  floe only:  ", list((found_rows - expected).items())[:4])
        else:
            print("  DuckDB:", str(expected).splitlines()[0] if isinstance(expected, duckdb.Error) else f"{len(expected)} rows")
            print("  floe:  ", found_rows if isinstance(found_rows, str) else "rows")
        if not arguments.all:
            break
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(1 if counts["different"] else 0)


if __name__ == "__main__":
    main()
