"""Random queries over three small tables, as SQL that means the same in floe and in DuckDB.

What SQL leaves open is left out: orders of rows that nothing orders, the last digits of sums of floats, which of equal rows is the
first. So are NULLs within lists and structs, which floe orders otherwise.
"""

import random

# Name and kind of the columns: what may be compared, added and aggregated goes by kind.
COLUMNS = {
    "a": {"id": "int", "i": "int", "j": "int", "d": "double", "m": "decimal", "s": "text", "t": "date", "u": "time", "b": "bool",
          "h": "huge", "l": "list", "z": "zone"},
    "b": {"id": "int", "k": "int", "i": "int", "x": "double", "n": "decimal", "w": "text", "e": "date", "v": "time", "f": "bool",
          "y": "tiny", "o": "struct", "p": "float"},
    "c": {"k": "int", "g": "int", "y": "double", "z": "text", "q": "bool", "c": "unsigned", "r": "tiny"},
}
TYPES = {
    "int": "BIGINT", "double": "DOUBLE", "decimal": "DECIMAL(12,2)", "text": "VARCHAR", "date": "DATE", "time": "TIMESTAMP", "bool": "BOOLEAN",
    "tiny": "SMALLINT", "unsigned": "UBIGINT", "huge": "HUGEINT", "float": "FLOAT", "list": "BIGINT[]", "struct": "STRUCT(a BIGINT, b DATE)",
    "zone": "TIMESTAMPTZ",
}
# The common kinds come more often.
KINDS = ["int", "double", "decimal", "text", "date", "time", "bool"] * 2 + ["tiny", "unsigned", "huge", "float", "list", "struct", "zone"]
NUMBERS = ["int", "double", "decimal", "tiny", "unsigned", "huge", "float"]
SMALL = {"i": "INTEGER", "j": "INTEGER"}
ROWS = {"a": 60, "b": 45, "c": 12}
WORDS = ["", "a", "b", "ab", "Ab", "ba", "zebra", "zéro", "x y", "10", "%", "O'Neil"]
ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]
FRACTIONS = ["0.5", "1.5", "-2.25", "0.05", "10.0", "3.14159", ".75"]


def literal(kind, rng):
    """A value of a kind, as SQL."""
    if rng.random() < 0.06:
        return f"CAST(NULL AS {TYPES[kind]})"
    day = lambda: f"2020-{rng.randint(1, 3):02}-{rng.randint(1, 28):02}"
    if kind == "int":
        return str(rng.choice([-3, -1, 0, 1, 2, 3, 5, 7, 10, 100]))
    if kind == "double":
        return f"CAST({rng.choice([-2.5, -0.5, 0.0, 0.25, 1.5, 3.0, 1e3])} AS DOUBLE)"
    if kind == "decimal":
        return f"CAST({rng.choice(['-1.50', '0.00', '0.99', '2.25', '10.10'])} AS DECIMAL(12,2))"
    if kind == "text":
        return "'" + rng.choice(WORDS).replace("'", "''") + "'"
    if kind == "date":
        return f"DATE '{day()}'"
    if kind == "time":
        return f"TIMESTAMP '2020-01-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:30:00'"
    if kind == "zone":
        return f"TIMESTAMPTZ '2020-0{rng.randint(1, 9)}-{rng.randint(1, 28):02} {rng.randint(0, 23):02}:15:00+0{rng.randint(0, 3)}'"
    if kind == "list":
        items = ", ".join(rng.choice(["0", "1", "2", "3", "7"]) for _ in range(rng.randint(0, 4)))
        return f"CAST([{items}] AS BIGINT[])"
    if kind == "struct":
        return f"{{'a': CAST({rng.choice(['1', '2', '3'])} AS BIGINT), 'b': DATE '{day()}'}}"
    if kind == "bool":
        return rng.choice(["true", "false"])
    number = rng.choice([0, 1, 2, 3, 7, 20]) if kind == "unsigned" else rng.choice([-7, -1, 0, 1, 2, 3, 12])
    number = rng.choice([number, number + 0.5]) if kind == "float" else number
    return f"CAST({number} AS {TYPES[kind]})"


class Queries:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names = 0
        # Whether sums of floats must come out the same in every order.
        self.exact = False

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def some(self, things, least=1, most=3):
        chosen = self.rng.sample(things, min(len(things), self.rng.randint(least, most)))
        return list(dict.fromkeys(chosen))

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
            lambda: f"CASE {sub('int')} WHEN 1 THEN {sub(kind)} WHEN 2 THEN {sub(kind)} END",
            lambda: f"coalesce({sub(kind)}, {sub(kind)})",
            lambda: f"nullif({sub(kind)}, {sub(kind)})",
            lambda: f"if({self.condition(scope, depth - 1)}, {sub(kind)}, {sub(kind)})",
        ]
        if kind not in ("list", "struct"):
            common.append(lambda: f"{rng.choice(['greatest', 'least'])}({sub(kind)}, {sub(kind)})")
        own = getattr(self, kind + "s")(scope, depth, sub)
        return rng.choice(own + own + common)()

    def number(self, sub):
        """A number of any kind, as it may stand beside another."""
        kind = self.rng.choice(NUMBERS + ["fraction"])
        return self.rng.choice(FRACTIONS) if kind == "fraction" else sub(kind)

    def ints(self, scope, depth, sub):
        rng = self.rng
        return [
            lambda: f"({sub('int')} {rng.choice('+-*')} {sub('int')})",
            lambda: f"({sub('int')} {rng.choice('+-')} {sub('tiny')})",
            lambda: f"({sub('int')} // {rng.choice([2, 3, -7, 100])})",
            lambda: f"abs({sub('int')})",
            lambda: f"sign({sub(rng.choice(NUMBERS))})",
            lambda: f"length({sub('text')})",
            lambda: f"instr({sub('text')}, '{rng.choice(['a', 'b', 'é'])}')",
            lambda: f"levenshtein({sub('text')}, {sub('text')})",
            lambda: f"CAST(extract({rng.choice(['year', 'month', 'day', 'dow', 'doy', 'week'])} FROM {sub('date')}) AS BIGINT)",
            lambda: f"date_diff('{rng.choice(['day', 'month', 'week', 'year'])}', {sub('date')}, {sub('date')})",
            lambda: f"CAST(extract(hour FROM {sub('zone')}) AS BIGINT)",
            lambda: f"({sub('int')} % {rng.choice([2, 3, 7])})",
            lambda: f"CAST({sub('bool')} AS BIGINT)",
            lambda: f"({sub('date')} - {sub('date')})",
            lambda: f"len({sub('list')})",
            lambda: f"({sub('list')})[{rng.choice([1, 2, -1])}]",
            lambda: f"list_{rng.choice(['max', 'min'])}({sub('list')})",
            lambda: f"list_position({sub('list')}, {rng.randint(0, 3)})",
            lambda: f"({sub('struct')}).a",
        ]

    def tinys(self, scope, depth, sub):
        return [
            lambda: f"CAST({sub('int')} % 100 AS SMALLINT)",
            lambda: f"({sub('tiny')} // {self.rng.choice(['CAST(2 AS SMALLINT)', 'CAST(3 AS TINYINT)'])})",
            lambda: f"({sub('tiny')} % CAST(3 AS SMALLINT))",
            lambda: f"(-({sub('tiny')}))",
        ]

    def unsigneds(self, scope, depth, sub):
        return [
            lambda: f"CAST(abs({sub('int')}) AS UBIGINT)",
            lambda: f"({sub('unsigned')} + CAST({self.rng.randint(0, 9)} AS UTINYINT))",
            lambda: f"({sub('unsigned')} // CAST(3 AS UBIGINT))",
            lambda: f"({sub('unsigned')} % CAST(5 AS UBIGINT))",
        ]

    def huges(self, scope, depth, sub):
        return [
            lambda: f"({sub('huge')} {self.rng.choice('+-*')} {sub(self.rng.choice(['int', 'tiny', 'huge', 'unsigned']))})",
            lambda: f"({sub('huge')} // {self.rng.choice([2, 3, -7])})",
            lambda: f"({sub('huge')} % {self.rng.choice([2, 3, 7])})",
            lambda: f"(CAST({sub('int')} AS HUGEINT) * 1000000000000)",
        ]

    def floats(self, scope, depth, sub):
        exact = [
            lambda: f"({sub('float')} {self.rng.choice('+-')} {sub(self.rng.choice(['float', 'tiny']))})",
            lambda: f"({sub('float')} * CAST({self.rng.choice([0.5, 2, -1])} AS FLOAT))",
            lambda: f"{self.rng.choice(['floor', 'ceil', 'abs', 'trunc'])}({sub('float')})",
        ]
        return exact if self.exact else exact + [lambda: f"({sub('float')} / {sub(self.rng.choice(['float', 'int', 'tiny']))})"]

    def doubles(self, scope, depth, sub):
        rng = self.rng
        exact = [
            lambda: f"({sub('double')} {rng.choice('+-*')} {sub('double')})",
            lambda: f"CAST({sub('int')} AS DOUBLE)",
            lambda: f"({sub('double')} / 4.0)",
            lambda: f"({sub('double')} {rng.choice('+-')} {sub(rng.choice(['int', 'tiny', 'float']))})",
            lambda: f"{rng.choice(['floor', 'ceil', 'round', 'trunc', 'abs'])}({sub('double')})",
            lambda: f"(-({sub('double')}))",
        ]
        if self.exact:
            return exact
        return exact + [
            lambda: f"CAST({sub('decimal')} AS DOUBLE)",
            lambda: f"({self.number(sub)} / {self.number(sub)})",
            lambda: f"({sub('double')} // {rng.choice(['2', '1.5', '-4'])})",
            lambda: f"({sub('double')} % {rng.choice(['2', '1.5', '0'])})",
            lambda: f"({sub('double')} * {rng.choice(FRACTIONS)})",
            lambda: f"sqrt(abs({sub('double')}))",
        ]

    def decimals(self, scope, depth, sub):
        rng = self.rng
        kept = lambda sql: f"CAST({sql} AS DECIMAL(12,2))"
        return [
            lambda: kept(f"{sub('decimal')} {rng.choice('+-')} {sub('decimal')}"),
            lambda: kept(f"{sub('int')} % 1000"),
            lambda: kept(f"{sub('decimal')} {rng.choice('+-*%')} {rng.choice(FRACTIONS)}"),
            lambda: kept(f"{sub('decimal')} {rng.choice('+-')} {sub(rng.choice(['int', 'tiny', 'huge']))} % 1000"),
            lambda: kept(f"{rng.choice(['floor', 'ceil', 'round', 'trunc'])}({sub('decimal')})"),
            lambda: kept(f"round({sub('decimal')}, {rng.choice([-1, 0, 1, 2, 3])})"),
            lambda: kept(f"{rng.choice(FRACTIONS)} {rng.choice('+-*')} {rng.choice(FRACTIONS)}"),
            lambda: f"abs({sub('decimal')})",
        ]

    def texts(self, scope, depth, sub):
        rng = self.rng
        return [
            lambda: f"({sub('text')} || {sub('text')})",
            lambda: f"{rng.choice(['upper', 'lower', 'trim', 'reverse', 'ltrim', 'rtrim'])}({sub('text')})",
            lambda: f"substring({sub('text')}, {rng.randint(-2, 3)}, {rng.randint(0, 3)})",
            lambda: f"CAST({sub(rng.choice(['int', 'decimal', 'huge', 'date', 'bool', 'tiny', 'unsigned', 'list', 'struct', 'zone', 'time']))} AS VARCHAR)",
            lambda: f"replace({sub('text')}, 'a', 'zz')",
            lambda: f"{rng.choice(['left', 'right'])}({sub('text')}, {rng.choice([2, -1])})",
            lambda: f"{rng.choice(['lpad', 'rpad'])}({sub('text')}, {rng.randint(0, 6)}, '{rng.choice(['*', 'xy'])}')",
            lambda: f"repeat({sub('text')}, {rng.randint(0, 3)})",
            lambda: f"split_part({sub('text')}, '{rng.choice(['a', ' '])}', {rng.choice([1, 2, -1])})",
            lambda: f"concat({sub('text')}, {sub('int')}, {sub('text')})",
            lambda: f"concat_ws('-', {sub('text')}, {sub('text')})",
            lambda: f"regexp_replace({sub('text')}, '[ab]+', '<\\0>')",
            lambda: f"regexp_extract({sub('text')}, '([a-z])([a-z])', {rng.randint(0, 2)})",
            lambda: f"translate({sub('text')}, 'ab', 'x')",
            lambda: f"strftime({sub('date')}, '%Y/%m/%d %a')",
            lambda: f"array_to_string({sub('list')}, ',')",
            lambda: f"printf('%d:%s', {sub('int')}, {sub('text')})",
        ]

    def dates(self, scope, depth, sub):
        rng = self.rng
        return [
            lambda: f"({sub('date')} + {rng.randint(-40, 40)})",
            lambda: f"CAST({sub('time')} AS DATE)",
            lambda: f"CAST(date_trunc('{rng.choice(['month', 'year', 'week', 'quarter'])}', {sub('date')}) AS DATE)",
            lambda: f"CAST({sub('date')} + INTERVAL '{rng.randint(-14, 14)}' MONTH AS DATE)",
            lambda: f"last_day({sub('date')})",
            lambda: f"({sub('struct')}).b",
        ]

    def times(self, scope, depth, sub):
        rng = self.rng
        return [
            lambda: f"({sub('time')} + INTERVAL '{rng.randint(1, 50)} hours')",
            lambda: f"date_trunc('{rng.choice(['day', 'hour', 'month'])}', {sub('time')})",
            lambda: f"time_bucket(INTERVAL '{rng.choice(['3 days', '2 months', '7 hours'])}', {sub('time')})",
            lambda: f"CAST({sub('date')} AS TIMESTAMP)",
            lambda: f"({sub('zone')} AT TIME ZONE '{rng.choice(ZONES)}')",
        ]

    def zones(self, scope, depth, sub):
        rng = self.rng
        return [
            lambda: f"({sub('zone')} + INTERVAL '{rng.randint(-50, 50)} hours')",
            lambda: f"date_trunc('{rng.choice(['day', 'hour', 'month'])}', {sub('zone')})",
            lambda: f"({sub('time')} AT TIME ZONE '{rng.choice(ZONES)}')",
            lambda: f"CAST({sub('time')} AS TIMESTAMPTZ)",
        ]

    def lists(self, scope, depth, sub):
        rng = self.rng
        known = lambda kind: f"coalesce({sub(kind)}, {rng.randint(0, 3)})"
        return [
            lambda: f"list_concat({sub('list')}, {sub('list')})",
            lambda: f"list_append({sub('list')}, {known('int')})",
            lambda: f"({sub('list')})[{rng.choice(['1:2', '2:', ':-2', '2:3'])}]",
            lambda: f"list_sort({sub('list')})",
            lambda: f"list_reverse_sort({sub('list')})",
            lambda: f"list_reverse({sub('list')})",
            lambda: f"list_transform({sub('list')}, lambda x: x {rng.choice('+-*')} {rng.randint(1, 3)})",
            lambda: f"[x // 2 for x in {sub('list')} if x > 0]",
            lambda: f"list_filter({sub('list')}, lambda x: x % 2 = {rng.randint(0, 1)})",
            lambda: f"[{known('int')}, {known('int')}]",
        ]

    def structs(self, scope, depth, sub):
        return [lambda: f"struct_pack(a := coalesce({sub('int')}, 0), b := coalesce({sub('date')}, DATE '2020-01-01'))"]

    def bools(self, scope, depth, sub):
        return [lambda: f"({self.condition(scope, depth - 1)})"]

    def condition(self, scope, depth=2, queries=True):
        rng = self.rng
        if depth > 0 and rng.random() < 0.3:
            left, right = self.condition(scope, depth - 1, queries), self.condition(scope, depth - 1, queries)
            return rng.choice([f"({left} AND {right})", f"({left} OR {right})", f"(NOT {left})"])
        kind = rng.choice(KINDS)
        side = lambda: self.expr(scope, kind, max(depth - 1, 0))
        compare = lambda: rng.choice(["=", "<>", "<", "<=", ">", ">="])
        sub = lambda kind: self.expr(scope, kind, 0)
        choices = [
            lambda: f"({side()} {compare()} {side()})",
            lambda: f"({side()} IS {rng.choice(['', 'NOT '])}NULL)",
            lambda: f"({side()} {rng.choice(['', 'NOT '])}BETWEEN {side()} AND {side()})",
            lambda: f"({side()} {rng.choice(['', 'NOT '])}IN ({', '.join(literal(kind, rng) for _ in range(rng.randint(1, 4)))}))",
            lambda: f"({side()} IS {rng.choice(['', 'NOT '])}DISTINCT FROM {side()})",
            lambda: f"({sub('text')} {rng.choice(['', 'NOT '])}{rng.choice(['LIKE', 'ILIKE'])} '{rng.choice(['%a%', 'a%', '_b', '%', 'z_b%'])}')",
            lambda: f"({self.number(sub)} {compare()} {self.number(sub)})",
            lambda: f"{rng.choice(['starts_with', 'ends_with', 'contains'])}({sub('text')}, '{rng.choice(['a', 'b', 'ab', ''])}')",
            lambda: f"regexp_matches({sub('text')}, '{rng.choice(['^a', 'b$', '[0-9]', 'z.b'])}')",
            lambda: f"list_contains({sub('list')}, {sub('int')})",
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
        kind = rng.choice(KINDS)
        self.exact = kind in ("double", "float")
        value = self.expr(scope, kind, 1)
        self.exact = False
        if kind == "bool":
            choices = [(f"{rng.choice(['bool_and', 'bool_or'])}({value})", "bool"), (f"count_if({value})", "hugeint")]
        else:
            choices = [("count(*)", "int"), (f"count({rng.choice(['', '', 'DISTINCT '])}{value})", "int")]
        if kind in NUMBERS + ["text", "date", "time", "zone"]:
            choices += [(f"min({value})", kind), (f"max({value})", kind)]
        if kind in ("int", "tiny", "unsigned"):
            distinct = rng.choice(["", "DISTINCT "])
            choices += [(f"sum({distinct}{value})", "hugeint"), (f"avg({value})", "mean"), (f"median({value})", "double")]
            choices += [(f"list({value} ORDER BY {value})", "listed"), (f"bit_{rng.choice(['and', 'or', 'xor'])}({value})", kind)]
        if kind == "decimal":
            choices += [(f"sum({value})", "hugedecimal"), (f"avg({value})", "mean"), (f"quantile_disc({value}, 0.25)", "decimal")]
        if kind == "double":
            choices += [(f"sum({value})", "mean"), (f"avg({value})", "mean"), (f"median({value})", "mean")]
        if kind == "text":
            choices += [(f"string_agg({value}, ',' ORDER BY {value})", "text"), (f"arg_min({value}, {value})", "text")]
        call, result = rng.choice(choices)
        if rng.random() < 0.2:
            call += f" FILTER (WHERE {self.condition(scope, 1, False)})"
        return call, result

    def window(self, scope):
        """A window function over a total order, or one whose value does not depend on ties."""
        rng = self.rng
        ids = [sql for sql, _ in scope if sql.endswith(".id")]
        partition = f"PARTITION BY {self.expr(scope, rng.choice(KINDS), 1)} " if rng.random() < 0.7 else ""
        key = self.expr(scope, rng.choice(["int", "text", "date", "double", "decimal", "huge", "zone"]), 1)
        number = self.expr(scope, "int", 1)
        low, high = rng.choice([("UNBOUNDED PRECEDING", "CURRENT ROW"), ("2 PRECEDING", "1 FOLLOWING"), ("1 FOLLOWING", "3 FOLLOWING"), ("3 PRECEDING", "1 PRECEDING"), ("CURRENT ROW", "UNBOUNDED FOLLOWING")])
        peers = rng.choice([
            (f"rank() OVER ({partition}ORDER BY {key})", "int"),
            (f"dense_rank() OVER ({partition}ORDER BY {key} DESC NULLS LAST)", "int"),
            (f"count(*) OVER ({partition})", "int"),
            (f"sum({number}) OVER ({partition}ORDER BY {key})", "hugeint"),
            (f"max({self.expr(scope, 'text', 1)}) OVER ({partition}ORDER BY {key} NULLS FIRST)", "text"),
            (f"cume_dist() OVER ({partition}ORDER BY {key})", "double"),
            (f"percent_rank() OVER ({partition}ORDER BY {key})", "double"),
            (f"count({number}) OVER ({partition}ORDER BY {self.expr(scope, 'int', 0)} RANGE BETWEEN {low} AND {high})", "int"),
            (f"sum({number}) OVER ({partition}ORDER BY {key} GROUPS BETWEEN {low} AND {high})", "hugeint"),
            (f"avg({number}) OVER ({partition}ORDER BY {key} GROUPS BETWEEN {low} AND {high} EXCLUDE {rng.choice(['GROUP', 'TIES', 'NO OTHERS'])})", "mean") if "TIES" not in key else (f"count(*) OVER ({partition})", "int"),
            (f"min({self.expr(scope, 'decimal', 1)}) FILTER (WHERE {self.condition(scope, 0, False)}) OVER ({partition}ORDER BY {key})", "decimal"),
        ])
        tables = {sql.split(".")[0] for sql, _ in scope}
        if len(ids) < len(tables) or rng.random() < 0.4:
            return peers
        total = f"ORDER BY {key} {rng.choice(['ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}, " + ", ".join(ids)
        frame = f"{partition}{total} ROWS BETWEEN {low} AND {high}"
        kind = rng.choice(["int", "text", "date", "decimal", "huge", "list", "zone"])
        value = self.expr(scope, kind, 1)
        extreme = self.expr(scope, rng.choice(["int", "text", "date", "decimal"]), 1)
        nulls = rng.choice(["", "", " IGNORE NULLS"])
        return rng.choice([
            (f"row_number() OVER ({partition}{total})", "int"),
            (f"lag({value}, {rng.randint(0, 3)}{nulls}) OVER ({partition}{total})", kind),
            (f"lead({value}{nulls}) OVER ({partition}{total})", kind),
            (f"first_value({value}{nulls}) OVER ({frame})", kind),
            (f"last_value({value}{nulls}) OVER ({frame})", kind),
            (f"nth_value({value}, 2) OVER ({frame})", kind),
            (f"max({extreme}) OVER ({frame} EXCLUDE {rng.choice(['CURRENT ROW', 'NO OTHERS'])})", "other"),
            (f"count({value}) OVER ({frame})", "int"),
            (f"sum({self.expr(scope, rng.choice(['int', 'decimal', 'huge']), 1)}) OVER ({frame})", "other"),
            (f"avg({self.expr(scope, rng.choice(['int', 'decimal']), 1)}) OVER ({frame})", "mean"),
            (f"ntile({rng.randint(1, 5)}) OVER ({partition}{total})", "int"),
        ])

    # Relations.
    def source(self, depth):
        """FROM and its scope."""
        rng = self.rng
        first, scope = self.relation(depth)
        for _ in range(rng.choice([0, 0, 1, 1, 2])):
            other, more = self.relation(depth)
            kind = rng.choice(["int", "int", "text", "date", "decimal", "bool", "double", "tiny"])
            left, right = self.column(scope, kind), self.column(more, kind)
            if rng.random() < 0.15:
                # Numbers of different kinds are equal, too.
                left, right = self.column(scope, rng.choice(NUMBERS)), self.column(more, rng.choice(NUMBERS))
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

    def nearest(self):
        """An ASOF JOIN by what no two rows of the right side have in common."""
        left, right, rng = self.name("r"), self.name("r"), self.rng
        table = rng.choice(["a", "b"])
        other = rng.choice(["a", "b"])
        scope = [(f"{left}.{name}", kind) for name, kind in COLUMNS[table].items()]
        more = [(f"{right}.{name}", kind) for name, kind in COLUMNS[other].items()]
        condition = f"{self.column(scope, 'int')} {rng.choice(['>=', '>', '<', '<='])} {right}.id"
        if rng.random() < 0.5:
            condition = f"{self.column(scope, 'bool')} = {self.column(more, 'bool')} AND {condition}"
        return f"{table} {left} ASOF {rng.choice(['', 'LEFT '])}JOIN {other} {right} ON {condition}", scope + more

    def query(self, depth=1):
        """A query without an order, and the names and kinds of its columns."""
        rng = self.rng
        if depth > 0 and rng.random() < 0.12:
            return self.set_operation(depth)
        if rng.random() < 0.06:
            return self.first_of_each()
        if rng.random() < 0.03:
            return self.pivot()
        source, scope = self.nearest() if rng.random() < 0.06 else self.source(depth)
        where = f" WHERE {self.condition(scope, 2)}" if rng.random() < 0.6 else ""
        form = rng.choice(["plain", "plain", "groups", "groups", "window", "distinct"])
        if form == "groups":
            kinds = self.some(KINDS, 0, 2)
            columns = [(self.expr(scope, kind, 1), kind) for kind in kinds]
            columns += [self.aggregate(scope) for _ in range(rng.randint(1, 3))]
            tail = self.groups(kinds)
            having = f" HAVING count(*) > {rng.randint(0, 3)}" if rng.random() < 0.3 else ""
            # DuckDB takes a number within HAVING for a key that is the same number, which is NULL in some of the sets.
            if "(" not in tail or not any(sql.lstrip("-").isdigit() for sql, _ in columns):
                tail += having
            select = "SELECT"
        else:
            columns = [(self.expr(scope, kind), kind) for kind in self.some(KINDS, 1, 4)]
            tail = ""
            if form == "window":
                columns += [self.window(scope) for _ in range(rng.randint(1, 2))]
                if rng.random() < 0.25:
                    tail = f" QUALIFY rank() OVER (ORDER BY {self.expr(scope, 'int', 1)}) <= {rng.randint(1, 9)}"
            select = "SELECT DISTINCT" if form == "distinct" else "SELECT"
        return self.selected(select, columns, f" FROM {source}{where}{tail}")

    def selected(self, select, columns, tail):
        named = [(f"c{number}", kind) for number, (_, kind) in enumerate(columns)]
        items = ", ".join(f"{sql} AS {name}" for (sql, _), (name, _) in zip(columns, named))
        return f"{select} {items}{tail}", named

    def groups(self, kinds):
        rng = self.rng
        if not kinds:
            return ""
        numbers = ", ".join(str(number + 1) for number in range(len(kinds)))
        if len(kinds) > 1 and rng.random() < 0.4:
            return f" GROUP BY {rng.choice(['ROLLUP', 'CUBE'])} ({numbers})"
        return f" GROUP BY {rng.choice([numbers, numbers, 'ALL'])}"

    def first_of_each(self):
        """DISTINCT ON, or QUALIFY, over a total order."""
        rng, alias = self.rng, self.name("r")
        table = rng.choice(["a", "b"])
        scope = [(f"{alias}.{name}", kind) for name, kind in COLUMNS[table].items()]
        key = self.expr(scope, rng.choice(KINDS), 1)
        columns = [(self.expr(scope, kind, 1), kind) for kind in self.some(KINDS, 1, 3)]
        order = f"{self.expr(scope, rng.choice(['int', 'text', 'double']), 1)} NULLS {rng.choice(['FIRST', 'LAST'])}, {alias}.id"
        if rng.random() < 0.5:
            limit = f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}) <= {rng.randint(1, 3)}"
            return self.selected("SELECT", columns, f" FROM {table} {alias}{limit}")
        return self.selected(f"SELECT DISTINCT ON ({key})", columns, f" FROM {table} {alias} ORDER BY {key}, {order}")

    def pivot(self):
        call, kind = self.rng.choice([("count(*)", "int"), ("sum(k)", "hugeint"), ("max(e)", "date"), ("avg(n)", "mean")])
        by = self.rng.choice(["y", "i"])
        query = f"SELECT * FROM (PIVOT (SELECT f, k, n, e, {by} FROM b) ON f IN (true, false) USING {call} AS p GROUP BY {by})"
        names = [("c0", "tiny" if by == "y" else "int"), ("c1", kind), ("c2", kind)]
        return f"SELECT * FROM ({query}) AS pivoted(c0, c1, c2)", names

    def set_operation(self, depth):
        rng = self.rng
        kinds = self.some(["int", "text", "date", "bool", "decimal", "double", "huge", "list"], 1, 3)
        sides = []
        for _ in range(2):
            source, scope = self.source(0)
            # The two sides may be numbers of different kinds.
            kind_of = lambda kind: rng.choice(["int", "decimal", "double", "tiny"]) if kind == "double" else kind
            items = ", ".join(f"{self.expr(scope, kind_of(kind), 1)} AS c{number}" for number, kind in enumerate(kinds))
            sides.append(f"SELECT {items} FROM {source}")
        operation = rng.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL", "UNION BY NAME"])
        kinds = ["other" if kind == "double" else kind for kind in kinds]
        return f"{sides[0]} {operation} {sides[1]}", [(f"c{number}", kind) for number, kind in enumerate(kinds)]

    def statement(self):
        rng = self.rng
        query, columns = self.query(1)
        if rng.random() < 0.15:
            query = f"WITH w AS ({query}) SELECT * FROM w UNION ALL SELECT * FROM w"
        if rng.random() < 0.25:
            order = ", ".join(f"{number + 1} {rng.choice(['ASC', 'DESC'])} NULLS {rng.choice(['FIRST', 'LAST'])}" for number in range(len(columns)))
            query = f"SELECT * FROM ({query}) o ORDER BY {order} LIMIT {rng.randint(0, 20)} OFFSET {rng.choice([0, 0, 3])}"
        # DuckDB's client needs another package for these.
        if any(kind == "zone" for _, kind in columns):
            shown = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" if kind == "zone" else name for name, kind in columns)
            query = f"SELECT {shown} FROM ({query}) shown"
        return query
