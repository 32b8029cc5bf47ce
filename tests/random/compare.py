"""Random queries, asked of floe and of DuckDB: the answers must be the same.

`python3 tests/random/compare.py --floe target/release/floe --queries 10000 --seed 1` (needs `pip install duckdb`). The tables are small and made of all
types with many NULLs and ties; queries are joins, aggregates, windows, subqueries, set operations and CTEs over them. Rows are compared as
a multiset, doubles to nine digits. A query that both refuse counts as the same; the first that differs is printed with both answers.
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

# Name and kind of the columns: what may be compared, added and aggregated goes by kind.
COLUMNS = {
    "a": {"id": "int", "i": "int", "j": "int", "d": "double", "m": "decimal", "s": "text", "t": "date", "u": "time", "b": "bool"},
    "b": {"id": "int", "k": "int", "i": "int", "x": "double", "n": "decimal", "w": "text", "e": "date", "v": "time", "f": "bool"},
    "c": {"k": "int", "g": "int", "y": "double", "z": "text", "q": "bool"},
}
TYPES = {"int": "BIGINT", "double": "DOUBLE", "decimal": "DECIMAL(12,2)", "text": "VARCHAR", "date": "DATE", "time": "TIMESTAMP", "bool": "BOOLEAN"}
SMALL = {"i": "INTEGER", "j": "INTEGER"}
ROWS = {"a": 60, "b": 45, "c": 12}
WORDS = ["", "a", "b", "ab", "Ab", "ba", "zebra", "zéro", "x y", "10", "%", "O'Neil"]


def literal(kind, rng):
    """A value of a kind, as SQL."""
    if rng.random() < 0.06:
        return f"CAST(NULL AS {TYPES[kind]})"
    if kind == "int":
        return str(rng.choice([-3, -1, 0, 1, 2, 3, 5, 7, 10, 100]))
    if kind == "double":
        return f"CAST({rng.choice([-2.5, -0.5, 0.0, 0.25, 1.5, 3.0, 1e3])} AS DOUBLE)"
    if kind == "decimal":
        return f"CAST({rng.choice(['-1.50', '0.00', '0.99', '2.25', '10.10'])} AS DECIMAL(12,2))"
    if kind == "text":
        return "'" + rng.choice(WORDS).replace("'", "''") + "'"
    if kind == "date":
        return f"DATE '2020-{rng.randint(1, 3):02}-{rng.randint(1, 28):02}'"
    if kind == "time":
        return f"TIMESTAMP '2020-01-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:30:00'"
    return rng.choice(["true", "false"])


class Queries:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names = 0

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def some(self, things, least=1, most=3):
        return self.rng.sample(things, min(len(things), self.rng.randint(least, most)))

    # Expressions. `scope` is a list of (SQL, kind).
    def column(self, scope, kind):
        fitting = [sql for sql, found in scope if found == kind]
        return self.rng.choice(fitting) if fitting else None

    def expr(self, scope, kind, depth=2):
        rng = self.rng
        column = self.column(scope, kind)
        if depth == 0 or rng.random() < 0.35:
            return column if column and rng.random() < 0.8 else literal(kind, rng)
        sub = lambda kind: self.expr(scope, kind, depth - 1)
        common = [
            lambda: f"CASE WHEN {self.condition(scope, depth - 1)} THEN {sub(kind)} ELSE {sub(kind)} END",
            lambda: f"coalesce({sub(kind)}, {sub(kind)})",
            lambda: f"nullif({sub(kind)}, {sub(kind)})",
            lambda: f"{rng.choice(['greatest', 'least'])}({sub(kind)}, {sub(kind)})",
        ]
        own = {
            "int": [
                lambda: f"({sub('int')} {rng.choice('+-*')} {sub('int')})",
                lambda: f"abs({sub('int')})",
                lambda: f"length({sub('text')})",
                lambda: f"CAST(extract({rng.choice(['year', 'month', 'day', 'dow', 'doy', 'week'])} FROM {sub('date')}) AS BIGINT)",
                lambda: f"({sub('int')} % {rng.choice([2, 3, 7])})",
                lambda: f"CAST({sub('bool')} AS BIGINT)",
                lambda: f"({sub('date')} - {sub('date')})",
            ],
            "double": [
                lambda: f"({sub('double')} {rng.choice('+-*')} {sub('double')})",
                lambda: f"CAST({sub('int')} AS DOUBLE)",
                lambda: f"CAST({sub('decimal')} AS DOUBLE)",
                lambda: f"({sub('double')} / 4.0)",
                lambda: f"floor({sub('double')})",
                lambda: f"sqrt(abs({sub('double')}))",
            ],
            "decimal": [
                lambda: f"CAST({sub('decimal')} + {sub('decimal')} AS DECIMAL(12,2))",
                lambda: f"CAST({sub('int')} % 1000 AS DECIMAL(12,2))",
                lambda: f"abs({sub('decimal')})",
            ],
            "text": [
                lambda: f"({sub('text')} || {sub('text')})",
                lambda: f"{rng.choice(['upper', 'lower', 'trim', 'reverse'])}({sub('text')})",
                lambda: f"substring({sub('text')}, {rng.randint(1, 3)}, {rng.randint(0, 3)})",
                lambda: f"CAST({sub('int')} AS VARCHAR)",
                lambda: f"replace({sub('text')}, 'a', 'zz')",
                lambda: f"CAST({sub('date')} AS VARCHAR)",
                lambda: f"left({sub('text')}, 2)",
            ],
            "date": [
                lambda: f"({sub('date')} + {rng.randint(-40, 40)})",
                lambda: f"CAST({sub('time')} AS DATE)",
                lambda: f"CAST(date_trunc('{rng.choice(['month', 'year', 'week'])}', {sub('date')}) AS DATE)",
            ],
            "time": [
                lambda: f"({sub('time')} + INTERVAL '{rng.randint(1, 50)} hours')",
                lambda: f"date_trunc('{rng.choice(['day', 'hour', 'month'])}', {sub('time')})",
                lambda: f"CAST({sub('date')} AS TIMESTAMP)",
            ],
            "bool": [lambda: f"({self.condition(scope, depth - 1)})"],
        }[kind]
        return rng.choice(own + own + common)()

    def condition(self, scope, depth=2, queries=True):
        rng = self.rng
        if depth > 0 and rng.random() < 0.3:
            left, right = self.condition(scope, depth - 1, queries), self.condition(scope, depth - 1, queries)
            return rng.choice([f"({left} AND {right})", f"({left} OR {right})", f"(NOT {left})"])
        kind = rng.choice(list(TYPES))
        side = lambda: self.expr(scope, kind, max(depth - 1, 0))
        choices = [
            lambda: f"({side()} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {side()})",
            lambda: f"({side()} IS {rng.choice(['', 'NOT '])}NULL)",
            lambda: f"({side()} {rng.choice(['', 'NOT '])}BETWEEN {side()} AND {side()})",
            lambda: f"({side()} {rng.choice(['', 'NOT '])}IN ({', '.join(literal(kind, rng) for _ in range(rng.randint(1, 4)))}))",
            lambda: f"({side()} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {side()})",
            lambda: f"({self.expr(scope, 'text', 0)} LIKE '{rng.choice(['%a%', 'a%', '_b', '%', 'z_b%'])}')",
        ]
        if queries and depth > 0 and rng.random() < 0.25:
            choices = [lambda: self.subquery_condition(scope, depth)]
        return rng.choice(choices)()

    def subquery_condition(self, scope, depth):
        rng = self.rng
        table, alias = rng.choice(list(COLUMNS)), self.name("s")
        inner = [(f"{alias}.{name}", kind) for name, kind in COLUMNS[table].items()]
        kind = rng.choice([kind for _, kind in inner])
        where = f"{self.condition(inner, 1, False)}"
        if rng.random() < 0.6:
            own = self.column(inner, kind)
            where += f" AND {own} {rng.choice(['=', '=', '<', '<>'])} {self.expr(scope, kind, 0)}"
        value = self.expr(inner, kind, 1)
        return rng.choice([
            lambda: f"({rng.choice(['', 'NOT '])}EXISTS (SELECT 1 FROM {table} {alias} WHERE {where}))",
            lambda: f"({self.expr(scope, kind, 1)} {rng.choice(['', 'NOT '])}IN (SELECT {value} FROM {table} {alias} WHERE {where}))",
            lambda: f"({self.expr(scope, kind, 1)} {rng.choice(['<', '=', '>='])} (SELECT {rng.choice(['min', 'max'])}({value}) FROM {table} {alias} WHERE {where}))",
            lambda: f"({self.expr(scope, 'int', 1)} {rng.choice(['<', '>='])} (SELECT count(*) FROM {table} {alias} WHERE {where}))",
        ])()

    def aggregate(self, scope):
        """An aggregate and its kind."""
        rng = self.rng
        kind = rng.choice(list(TYPES))
        if kind == "bool":
            return rng.choice([(f"bool_and({self.expr(scope, 'bool', 1)})", "bool"), (f"bool_or({self.expr(scope, 'bool', 1)})", "bool")])
        value = self.expr(scope, kind, 1)
        distinct = rng.choice(["", "", "DISTINCT "])
        choices = [("count(*)", "int"), (f"count({distinct}{value})", "int"), (f"min({value})", kind), (f"max({value})", kind)]
        if kind == "int":
            choices += [(f"sum({distinct}{value})", "hugeint"), (f"avg({value})", "double"), (f"median({value})", "double")]
        if kind == "decimal":
            # The mean of decimals is a decimal in floe and a double in DuckDB.
            choices += [(f"sum({value})", "hugedecimal"), (f"avg(CAST({value} AS DOUBLE))", "double")]
        if kind == "double":
            choices += [(f"sum({value})", "double"), (f"avg({value})", "double"), (f"median({value})", "double")]
        if kind == "text":
            choices += [(f"string_agg({value}, ',' ORDER BY {value})", "text")]
        call, result = rng.choice(choices)
        if rng.random() < 0.2:
            call += f" FILTER (WHERE {self.condition(scope, 1, False)})"
        return call, result

    def window(self, scope):
        """A window function over a total order, or one whose value does not depend on ties."""
        rng = self.rng
        ids = [sql for sql, _ in scope if sql.endswith(".id")]
        partition = f"PARTITION BY {self.expr(scope, rng.choice(list(TYPES)), 1)} " if rng.random() < 0.7 else ""
        key = self.expr(scope, rng.choice(["int", "text", "date", "double"]), 1)
        peers = rng.choice([
            (f"rank() OVER ({partition}ORDER BY {key})", "int"),
            (f"dense_rank() OVER ({partition}ORDER BY {key} DESC NULLS LAST)", "int"),
            (f"count(*) OVER ({partition})", "int"),
            (f"sum({self.expr(scope, 'int', 1)}) OVER ({partition}ORDER BY {key})", "hugeint"),
            (f"max({self.expr(scope, 'text', 1)}) OVER ({partition}ORDER BY {key} NULLS FIRST)", "text"),
            (f"cume_dist() OVER ({partition}ORDER BY {key})", "double"),
        ])
        tables = {sql.split(".")[0] for sql, _ in scope}
        if len(ids) < len(tables) or rng.random() < 0.4:
            return peers
        total = f"ORDER BY {key} {rng.choice(['ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}, " + ", ".join(ids)
        low, high = rng.choice([("UNBOUNDED PRECEDING", "CURRENT ROW"), ("2 PRECEDING", "1 FOLLOWING"), ("1 FOLLOWING", "3 FOLLOWING"), ("3 PRECEDING", "1 PRECEDING"), ("CURRENT ROW", "UNBOUNDED FOLLOWING")])
        frame = f"{partition}{total} ROWS BETWEEN {low} AND {high}"
        kind = rng.choice(["int", "text", "date", "decimal"])
        value = self.expr(scope, kind, 1)
        return rng.choice([
            (f"row_number() OVER ({partition}{total})", "int"),
            (f"lag({value}, {rng.randint(0, 3)}) OVER ({partition}{total})", kind),
            (f"lead({value}) OVER ({partition}{total})", kind),
            (f"first_value({value}) OVER ({frame})", kind),
            (f"last_value({value}) OVER ({frame})", kind),
            (f"nth_value({value}, 2) OVER ({frame})", kind),
            (f"min({value}) OVER ({frame})", kind),
            (f"count({value}) OVER ({frame})", "int"),
            (f"sum({self.expr(scope, 'int', 1)}) OVER ({frame})", "hugeint"),
            (f"ntile({rng.randint(1, 5)}) OVER ({partition}{total})", "int"),
        ])

    # Relations.
    def source(self, depth):
        """FROM and its scope."""
        rng = self.rng
        first, scope = self.relation(depth)
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            other, more = self.relation(depth)
            kind = rng.choice(["int", "int", "text", "date", "decimal", "bool"])
            left, right = self.column(scope, kind), self.column(more, kind)
            condition = f"{left} = {right}" if left and right else "true"
            if rng.random() < 0.3:
                condition += f" AND {self.condition(scope + more, 1, False)}"
            join = rng.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"])
            if condition.startswith("true"):
                join = rng.choice(["JOIN", "LEFT JOIN"])
            first += f" {join} {other} ON {condition}"
            if join not in ("SEMI JOIN", "ANTI JOIN"):
                scope = scope + more
        return first, scope

    def relation(self, depth):
        alias = self.name("r")
        if depth > 0 and self.rng.random() < 0.25:
            query, columns = self.query(depth - 1)
            return f"({query}) {alias}", [(f"{alias}.{name}", kind) for name, kind in columns]
        table = self.rng.choice(list(COLUMNS))
        return f"{table} {alias}", [(f"{alias}.{name}", kind) for name, kind in COLUMNS[table].items()]

    def query(self, depth=1):
        """A query without an order, and the names and kinds of its columns."""
        rng = self.rng
        if depth > 0 and rng.random() < 0.12:
            return self.set_operation(depth)
        source, scope = self.source(depth)
        where = f" WHERE {self.condition(scope, 2)}" if rng.random() < 0.6 else ""
        form = rng.choice(["plain", "plain", "groups", "groups", "window", "distinct"])
        if form == "groups":
            kinds = self.some(list(TYPES), 0, 2)
            keys = [self.expr(scope, kind, 1) for kind in kinds]
            keys = [(key, kind) for key, kind in zip(keys, kinds)]
            calls = [self.aggregate(scope) for _ in range(rng.randint(1, 3))]
            columns = keys + calls
            group = ""
            if keys:
                numbers = ", ".join(str(number + 1) for number in range(len(keys)))
                group = f" GROUP BY {rng.choice(['', '', '', 'ROLLUP ', 'CUBE ']) if len(keys) > 1 else ''}"
                group += f"({numbers})" if "ROLLUP" in group or "CUBE" in group else numbers
            having = f" HAVING count(*) > {rng.randint(0, 3)}" if rng.random() < 0.3 else ""
            tail = group + having
            select = "SELECT"
        else:
            columns = [(self.expr(scope, kind), kind) for kind in self.some(list(TYPES), 1, 4)]
            tail = ""
            if form == "window":
                columns += [self.window(scope) for _ in range(rng.randint(1, 2))]
            select = "SELECT DISTINCT" if form == "distinct" else "SELECT"
        named = [(f"c{number}", kind) for number, (_, kind) in enumerate(columns)]
        items = ", ".join(f"{sql} AS {name}" for (sql, _), (name, _) in zip(columns, named))
        return f"{select} {items} FROM {source}{where}{tail}", named

    def set_operation(self, depth):
        rng = self.rng
        kinds = self.some(["int", "text", "date", "bool"], 1, 3)
        sides = []
        for _ in range(2):
            source, scope = self.source(0)
            items = ", ".join(f"{self.expr(scope, kind, 1)} AS c{number}" for number, kind in enumerate(kinds))
            sides.append(f"SELECT {items} FROM {source}")
        operation = rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])
        return f"{sides[0]} {operation} {sides[1]}", [(f"c{number}", kind) for number, kind in enumerate(kinds)]

    def statement(self):
        rng = self.rng
        query, columns = self.query(1)
        if rng.random() < 0.15:
            query = f"WITH w AS ({query}) SELECT * FROM w UNION ALL SELECT * FROM w"
        if rng.random() < 0.25:
            order = ", ".join(f"{number + 1} {rng.choice(['ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}" for number in range(len(columns)))
            query = f"SELECT * FROM ({query}) o ORDER BY {order} LIMIT {rng.randint(0, 20)} OFFSET {rng.choice([0, 0, 3])}"
        return query


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
        text = value.isoformat(sep=" ")
        return text
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def of_floe(value, kind):
    if value is None:
        return "NULL"
    if kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")):
        return canonical(float(value))
    return canonical(value)


class Floe:
    def __init__(self, program, folder):
        command = [program, "--format", "json-compact", "--on-error", "continue", "--threads", "2"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for table in COLUMNS:
            self.ask(f"CREATE TABLE {table} AS SELECT * FROM '{folder}/{table}.parquet'")

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
    parser.add_argument("--all", action="store_true", help="do not stop at the first difference")
    arguments = parser.parse_args()
    folder = tempfile.TemporaryDirectory()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'; SET threads = 1")
    make_tables(connection, folder.name, arguments.seed)
    floe = Floe(arguments.floe, folder.name)
    counts = collections.Counter()
    for number in range(arguments.queries):
        sql = Queries(f"{arguments.seed} {number}").statement()
        try:
            expected = connection.execute(sql).fetchall()
        except duckdb.Error as error:
            expected = error
        if isinstance(expected, duckdb.Error) and "ORDER BY non-integer literal" in str(expected):
            # Floe takes it, as PostgreSQL does.
            counts["left out"] += 1
            continue
        found = floe.ask(sql)
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
            expected = collections.Counter(tuple(canonical(value) for value in row) for row in expected)
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
