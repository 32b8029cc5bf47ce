"""Random queries over small random tables, floe against DuckDB.

    cargo build --release && python3 benches/peers/differential.py --seeds 1 200

Tables hold NULLs, duplicates and every common type; queries join them (all kinds, residual conditions, lateral),
aggregate (DISTINCT, FILTER, grouping sets, ordered lists), use windows, subqueries of every form, set operations and
CTEs, some recursive. Answers are compared as multisets, under settings that change with the seed: threads, batch size,
memory. A query that differs is cut down to what still differs and printed; `--seeds 17 18 --query 5` gives it again.
Ends with exit code 1 if any answer was wrong or floe failed with anything but NOT_SUPPORTED. Needs the `duckdb` of the
venv of run.py; without it there is nothing to do.
"""

import argparse
import collections
import datetime
import decimal
import json
import os
import pathlib
import random
import re
import select
import subprocess
import sys
import tempfile
import time

import answers
import run
from random_queries import SQL_TYPES, TEXTS, Generator

try:
    import duckdb
except ImportError:
    duckdb = None

COLUMNS = [
    ("i", "int"), ("j", "int"), ("b", "big"), ("s", "str"), ("u", "str"), ("d", "date"), ("n", "dec"), ("f", "dbl"),
    ("o", "bool"), ("t", "ts"),
]  # fmt: skip
SETTINGS = [
    {"threads": 1},
    {"threads": 2},
    {"threads": 4},
    {"threads": 2, "batch_size": 7},
    {"threads": 1, "batch_size": 1},
    {"threads": 3, "batch_size": 64},
    {"threads": 2, "memory_limit": "'64MB'"},
    {"threads": 1, "memory_limit": "'40MB'", "batch_size": 100},
]


# Tables ---------------------------------------------------------------------------------------------------------------


def random_value(source, kind, width):
    if source.random() < 0.15:
        return None
    if kind == "int":
        return source.randrange(-2, width)
    if kind == "big":
        return source.choice([0, 1, 2, 3, 100, 5_000_000_000, source.randrange(width)])
    if kind == "str":
        return source.choice(TEXTS) if source.random() < 0.8 or width < 50 else f"text number {source.randrange(width)}"
    if kind == "date":
        return datetime.date(2020, 1, 1) + datetime.timedelta(days=source.randrange(max(width, 8)))
    if kind == "ts":
        return datetime.datetime(2020, 1, 1) + datetime.timedelta(hours=source.randrange(max(width, 8)))
    if kind == "dec":
        return decimal.Decimal(source.choice(["0", "1.50", "2.25", "-1.50", "10", "3.33", str(source.randrange(width))]))
    if kind == "dbl":
        # Sums of these are exact, in whatever order.
        return source.choice([0.0, 1.5, 2.25, -1.5, 10.0, 0.25, float(source.randrange(width))])
    return source.random() < 0.5


def make_tables(seed, directory, connection):
    """Four tables, in DuckDB and as files: their columns and row counts by name, and floe's statements for them."""
    source = random.Random(f"{seed}-tables")
    tables, statements = {}, []
    for name in ("t1", "t2", "t3", "t4"):
        count = 30 if name == "t1" else source.choice([0, 1, 5, 20, 20, 40, 120])
        columns = [("k", "int"), *source.sample(COLUMNS, source.randrange(3, 7))]
        width = source.choice([4, 8, 30, 100])
        rows = [[k, *(random_value(source, kind, width) for _, kind in columns[1:])] for k in range(count)]
        declared = ", ".join(f"{column} {SQL_TYPES[kind]}" for column, kind in columns)
        connection.execute(f"CREATE TABLE {name} ({declared})")
        if rows:
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})", rows)
        path = directory / f"{name}.parquet"
        connection.execute(f"COPY {name} TO '{path}' (FORMAT parquet)")
        tables[name] = (columns, count)
        statements.append(f"CREATE {source.choice(['VIEW', 'VIEW', 'TABLE'])} {name} AS SELECT * FROM '{path}'")
    return tables, statements


# Engines --------------------------------------------------------------------------------------------------------------


class Floe:
    """The program as a server of statements, started again after it died or was stopped."""

    def __init__(self, program, preparation):
        self.program, self.preparation, self.process = program, preparation, None

    def start(self):
        command = [self.program, "--format", "json-compact", "--on-error", "continue"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.pending = b""
        for statement in self.preparation:
            answer = self.ask(statement, 60)
            if "error" in answer:
                raise RuntimeError(f"{statement}: {answer['error']}")

    def ask(self, sql, timeout):
        """The program's answer: `columns` and `rows`, or an `error` with its code, TIMEOUT and CRASH among them."""
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(sql.replace("\n", " ").encode() + b";\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        end = time.monotonic() + timeout
        while b"\n" not in self.pending:
            left = end - time.monotonic()
            if left <= 0:
                self.stop()
                return {"error": {"code": "TIMEOUT", "message": f"no answer in {timeout} s"}}
            if select.select([self.process.stdout], [], [], left)[0]:
                data = self.process.stdout.read()
                if data == b"":
                    code, self.process = self.process.wait(), None
                    return {"error": {"code": "CRASH", "message": f"exit code {code}"}}
                self.pending += data or b""
        line, self.pending = self.pending.split(b"\n", 1)
        return json.loads(line)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def judge(floe, connection, sql, ordered, timeout):
    """What became of a query: `same`, `refused by duckdb`, `WRONG` or floe's error code; and more about it."""
    try:
        expected = [[answers.plain(value) for value in row] for row in connection.execute(sql).fetchall()]
    except duckdb.Error as error:
        return "refused by duckdb", str(error).splitlines()[0]
    answer = floe.ask(sql, timeout)
    if "error" in answer:
        return answer["error"]["code"], answer["error"]["message"]
    different = answers.difference(answers.from_floe(answer), expected, ordered)
    return ("WRONG", different) if different else ("same", "")


# The search -----------------------------------------------------------------------------------------------------------


def shrink(query, still_bad, trials=300):
    """Puts simpler pieces in the place of others as long as the query stays bad."""
    done = False
    while not done:
        done = True
        for piece in list(query.pieces()):
            for simpler in piece.simpler:
                if trials == 0:
                    return query.sql()
                trials -= 1
                kept = piece.parts, piece.simpler
                piece.parts, piece.simpler = list(simpler), []
                if still_bad(query.sql()):
                    done = False
                    break
                piece.parts, piece.simpler = kept
            if not done:
                break
    return query.sql()


def likeness(message):
    """A message without what differs from query to query."""
    return re.sub(r"\"[^\"]*\"|'[^']*'|\b[a-z]?\d+\b(\.\w+)?", "…", message.splitlines()[0])[:100]


def run_seed(seed, options, counts, seen):
    source = random.Random(f"{seed}-setting")
    settings = [f"SET {name} = {value}" for name, value in source.choice(SETTINGS).items()]
    with tempfile.TemporaryDirectory(prefix="differential-") as directory:
        connection = duckdb.connect()
        connection.execute("SET threads = 1")
        tables, statements = make_tables(seed, pathlib.Path(directory), connection)
        floe = Floe(options.floe, settings + statements)
        for number in range(options.queries) if options.query is None else [options.query]:
            query = Generator(random.Random(f"{seed}-{number}"), tables).statement()
            ordered = query.ordered
            category, message = judge(floe, connection, query.sql(), ordered, options.timeout)
            counts[category] += 1
            kind = (category, "" if category == "WRONG" else likeness(message) if message else "")
            seen[kind] += 1
            if category in ("same", "refused by duckdb") or (category != "WRONG" and seen[kind] > 1):
                continue

            def still_bad(sql):
                found, why = judge(floe, connection, sql, False, options.timeout)
                return found == category and (found == "WRONG" or likeness(why) == kind[1])

            small = query.sql() if category in ("TIMEOUT", "CRASH") or ordered and not still_bad(query.sql()) else shrink(query, still_bad)
            print(f"{category} --seeds {seed} {seed + 1} --query {number}, {settings}\n  {message[:300]}\n  {small}", flush=True)
        floe.stop()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", run.PACKAGE / "target"))
    parser.add_argument("--seeds", nargs=2, type=int, default=[1, 50], help="from, and up to but without")
    parser.add_argument("--queries", type=int, default=60, help="for each seed")
    parser.add_argument("--query", type=int, help="this one only")
    parser.add_argument("--floe", type=pathlib.Path, default=target / "release" / "floe")
    parser.add_argument("--timeout", type=float, default=30)
    return parser.parse_args()


def main():
    options = parse()
    if duckdb is None:
        print("skipped: there is no duckdb here; run it by the python of the venv that run.py makes")
        return 0
    counts, seen = collections.Counter(), collections.Counter()
    for seed in range(*options.seeds):
        run_seed(seed, options, counts, seen)
    print(dict(counts))
    for (category, message), count in seen.most_common():
        if category not in ("same", "WRONG"):
            print(f"{count:5} {category} {message}")
    return 0 if set(counts) <= {"same", "refused by duckdb", "NOT_SUPPORTED"} else 1


if __name__ == "__main__":
    sys.exit(main())
