"""Random SELECTs whose answer is determined as a multiset, over tables of known columns.

A query is a tree of `Piece`s, each of which knows simpler pieces that may stand for it, so that a failing query can be
cut down. What would leave the answer open is not generated: ties under a LIMIT or a window function that depends on
them, floats whose sum depends on the order, integer division, dates plus numbers.
"""

SQL_TYPES = {
    "int": "INTEGER",
    "big": "BIGINT",
    "str": "VARCHAR",
    "date": "DATE",
    "dec": "DECIMAL(9,2)",
    "dbl": "DOUBLE",
    "bool": "BOOLEAN",
    "ts": "TIMESTAMP",
}
TEXTS = ["", "a", "b", "ab", "abc", "A", "longer than twelve", "longer than twelve!", "zz", "é", "10", "x y", "a%b"]
KINDS = ["int", "int", "big", "str", "str", "date", "dec", "dbl", "bool", "ts"]
NUMBERS = ("int", "big", "dec", "dbl")
COMPARISONS = [" = ", " = ", " <> ", " < ", " <= ", " > ", " >= "]
JOINS = ["JOIN", "JOIN", "INNER JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "FULL JOIN", "CROSS JOIN"]
JOINS += ["SEMI JOIN", "ANTI JOIN"]
DIRECTIONS = [" NULLS LAST", " NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST"]
SET_OPERATIONS = ["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"]
WINDOW_AGGREGATES = {
    "int": ["sum", "min", "max", "count"],
    "big": ["sum", "min", "max", "count"],
    "dec": ["sum", "min", "max"],
    "dbl": ["sum", "min", "max"],
    "bool": ["bool_and", "bool_or"],
}
# The most rows that a join may have to look at.
CROSS = 20_000


class Piece:
    def __init__(self, *parts, simpler=()):
        self.parts, self.simpler = list(parts), list(simpler)
        # Of a query: its rows come in a total order; floats in it may differ in the last digits.
        self.ordered = self.inexact = False

    def sql(self):
        return "".join(part if isinstance(part, str) else part.sql() for part in self.parts)

    def pieces(self):
        yield self
        for part in self.parts:
            if isinstance(part, Piece):
                yield from part.pieces()


def listed(pieces, separator=", "):
    parts = [part for piece in pieces for part in (separator, piece)]
    return Piece(*parts[1:])


def optional(*parts):
    return Piece(*parts, simpler=[[""]])


def either(first, operator, second):
    """A piece for which each of its two sides may stand."""
    return Piece("(", first, operator, second, ")", simpler=[[first], [second]])


class Generator:
    def __init__(self, source, tables):
        self.source, self.tables = source, tables
        self.queries, self.names = {}, 0

    def chance(self, probability):
        return self.source.random() < probability

    def choice(self, values):
        return self.source.choice(values)

    def name(self, letter="a"):
        self.names += 1
        return f"{letter}{self.names}"

    def statement(self):
        """A whole query, with CTEs now and then."""
        ctes, recursive = [], self.chance(0.06)
        if self.chance(0.25):
            for _ in range(self.choice([1, 1, 2])):
                kinds = [self.choice(KINDS) for _ in range(self.source.randrange(1, 4))]
                query, name = self.query(kinds, 1, limit=0.15), self.name("w")
                ctes.append(Piece(f"{name}({column_names(kinds)}) AS (", query, ")"))
                self.queries[name] = ([(f"c{index}", kind) for index, kind in enumerate(kinds)], 60)
        if recursive:
            ctes.append(self.recursive())
        body = self.query(None, 2, limit=0.3, top=True)
        head = Piece("WITH ", "RECURSIVE " if recursive else "", listed(ctes), " ", simpler=[[""]]) if ctes else ""
        statement = Piece(head, body)
        statement.ordered = body.ordered
        return statement

    def recursive(self):
        """A recursive CTE that ends."""
        name, table = self.name("w"), self.choice(list(self.tables))
        text, columns = self.choice(
            [
                ("SELECT CAST(1 AS BIGINT) UNION ALL SELECT n + 1 FROM {name} WHERE n < 30", [("n", "big")]),
                ("SELECT CAST(k AS BIGINT) FROM {table} UNION SELECT (n + 3) % 11 FROM {name}", [("n", "big")]),
                ("SELECT CAST(1 AS BIGINT) UNION ALL SELECT z.n + 1 FROM {name} AS z JOIN {table} AS q ON q.k = z.n", [("n", "big")]),
                ("SELECT k, k % 7 FROM {table} UNION SELECT q.k + 1, z.a FROM {table} AS q JOIN {name} AS z ON q.k = z.n", [("a", "int"), ("n", "int")]),
            ]
        )  # fmt: skip
        self.queries[name] = (columns, 60)
        head = ", ".join(column for column, _ in columns)
        return Piece(f"{name}({head}) AS (", text.format(name=name, table=table), ")")

    # Expressions ------------------------------------------------------------------------------------------------------

    def literal(self, kind):
        if self.chance(0.04):
            return Piece(f"CAST(NULL AS {SQL_TYPES[kind]})")
        number = self.source.randrange
        if kind == "int":
            return Piece(str(self.choice([0, 1, 2, 3, 5, 7, -1, 10])))
        if kind == "str":
            return Piece(f"'{self.choice(TEXTS)}'")
        if kind == "date":
            return Piece(f"DATE '{2020 + number(2)}-0{number(1, 4)}-0{number(1, 5)}'")
        if kind == "ts":
            return Piece(f"TIMESTAMP '2020-01-0{number(1, 4)} 0{number(3)}:00:00'")
        if kind == "bool":
            return Piece(self.choice(["TRUE", "FALSE"]))
        values = [0, 1, 2, 3, 100, 5_000_000_000] if kind == "big" else ["0", "1.5", "2.25", "-1.5", "10", "0.25"]
        return Piece(f"CAST({self.choice(values)} AS {SQL_TYPES[kind]})")

    def column(self, kind, scope):
        columns = [column for column, its_kind in scope if its_kind == kind]
        return Piece(self.choice(columns)) if columns else None

    def expression(self, kind, scope, depth=2, subqueries=False):
        column = self.column(kind, scope)
        if column and (depth <= 0 or self.chance(0.65)):
            return column
        if depth <= 0:
            return self.literal(kind)
        if subqueries and self.chance(0.08):
            return self.scalar_subquery(kind, scope, depth - 1)

        def inner(inner_kind=kind):
            return self.expression(inner_kind, scope, depth - 1, subqueries)

        shape = self.source.randrange(7)
        if shape == 0:
            first, second = inner(), inner()
            condition = self.condition(scope, depth - 1)
            return Piece("CASE WHEN ", condition, " THEN ", first, " ELSE ", second, " END", simpler=[[first], [second]])
        if shape == 1:
            first, second = inner(), inner()
            return Piece("COALESCE(", first, ", ", second, ")", simpler=[[first], [second]])
        if shape == 2:
            first = inner()
            return Piece("NULLIF(", first, ", ", self.literal(kind), ")", simpler=[[first]])
        return self.typed_expression(kind, shape, inner, scope, depth)

    def typed_expression(self, kind, shape, inner, scope, depth):
        if kind == "int" and shape == 3:
            return Piece("CAST(length(", inner("str"), ") AS INTEGER)")
        if kind == "int" and shape == 4:
            field = self.choice(["YEAR", "MONTH", "DAY"])
            return Piece(f"CAST(EXTRACT({field} FROM ", inner("date"), ") AS INTEGER)")
        if kind == "str" and shape == 3:
            return Piece("upper(", inner(), ")")
        if kind == "str" and shape == 4:
            return Piece("substring(", inner(), ", 1, 2)")
        if kind == "str":
            return Piece("(", inner(), " || '-')")
        if kind == "ts":
            return Piece("CAST(", inner("date"), " AS TIMESTAMP)")
        if kind == "bool":
            return Piece("(", self.condition(scope, depth - 1), ")")
        if kind in NUMBERS:
            sum_of = either(inner(), self.choice([" + ", " - "]), inner())
            return Piece("CAST(", sum_of, f" AS {SQL_TYPES[kind]})")
        return self.column(kind, scope) or self.literal(kind)

    def kind_in(self, scope):
        return self.choice(scope)[1] if scope and self.chance(0.9) else self.choice(KINDS)

    def condition(self, scope, depth=2, subqueries=False, outer=()):
        scope, shape = list(scope), self.source.randrange(14)
        if depth > 0 and shape < 4:
            sides = [self.condition(scope, depth - 1, subqueries, outer) for _ in range(2)]
            return either(sides[0], self.choice([" AND ", " OR "]), sides[1])
        if depth > 0 and shape == 4:
            negated = self.condition(scope, depth - 1, subqueries, outer)
            return Piece("NOT (", negated, ")", simpler=[[negated]])
        if subqueries and self.chance(0.3):
            return self.subquery_condition(scope, depth - 1)
        kind, both = self.kind_in(scope), scope + list(outer)
        left = self.expression(kind, scope, min(depth, 1))
        right = self.expression(kind, both, 0)
        if shape == 5:
            return Piece(left, self.choice([" IS NULL", " IS NOT NULL"]))
        if shape == 6:
            values = listed([self.literal(kind) for _ in range(self.source.randrange(1, 5))])
            return Piece(left, self.choice([" IN (", " NOT IN ("]), values, ")")
        if shape == 7 and kind != "bool":
            between = self.choice([" BETWEEN ", " NOT BETWEEN "])
            return Piece("(", left, between, self.expression(kind, both, 0), " AND ", right, ")")
        if shape == 8:
            return Piece(left, self.choice([" IS DISTINCT FROM ", " IS NOT DISTINCT FROM "]), right)
        if shape == 9 and kind == "str":
            return Piece(left, self.choice([" LIKE ", " NOT LIKE "]), self.choice(["'a%'", "'%b'", "'%o%n%'", "'_'", "''"]))
        if shape == 10 and kind == "bool":
            return left
        if shape == 11 and kind in NUMBERS:
            return Piece(left, self.choice(COMPARISONS), self.expression(self.choice(NUMBERS), both, 0))
        return Piece(left, self.choice(COMPARISONS if kind != "bool" else [" = ", " <> "]), right)

    # Subqueries -------------------------------------------------------------------------------------------------------

    def subquery_condition(self, scope, depth):
        outer = scope if self.chance(0.7) else []
        kind, shape = self.kind_in(scope), self.source.randrange(6)
        if shape < 2:
            return Piece(self.choice(["", "NOT "]), "EXISTS (", self.query(None, depth, outer, limit=0.1), ")")
        left = self.expression(kind, scope, 0)
        if shape < 4:
            return Piece(left, self.choice([" IN (", " NOT IN ("]), self.query([kind], depth, outer, limit=0.1), ")")
        comparison = self.choice(COMPARISONS if kind != "bool" else [" = "])
        if shape == 4 and kind != "bool":
            quantifier = self.choice(["ANY", "ALL"])
            return Piece(left, comparison, quantifier, " (SELECT c0 FROM (", self.query([kind], depth, outer, limit=0), ") AS q)")
        return Piece(left, comparison, self.scalar_subquery(kind, scope, depth))

    def scalar_subquery(self, kind, scope, depth):
        outer = scope if self.chance(0.7) else []
        simpler = [[self.literal(kind)]]
        relations, inside, _ = self.relations(min(depth, 1), outer)
        where = self.where(inside, 0, outer, 0.8)
        if self.chance(0.75):
            return Piece("(SELECT ", self.aggregate(kind, inside), " FROM ", relations, where, ")", simpler=simpler)
        value = self.expression(kind, inside, 0)
        order = f" ORDER BY 1{self.choice(DIRECTIONS)} LIMIT 1)"
        return Piece("(SELECT ", value, " FROM ", relations, where, order, simpler=simpler)

    def where(self, scope, depth, outer, probability=0.6, subqueries=False):
        if not self.chance(probability):
            return Piece("")
        equal = []
        for _ in range(self.choice([1, 1, 2]) if outer and self.chance(0.85) else 0):
            column, kind = self.choice(scope)
            partner = self.column(kind, outer)
            if partner:
                equal.append(Piece(column, " = " if self.chance(0.75) or kind == "bool" else self.choice(COMPARISONS), partner))
        if equal:
            if self.chance(0.5):
                equal.append(self.condition(scope, depth, subqueries))
            return optional(" WHERE ", Piece(listed(equal, " AND "), simpler=[[one] for one in equal]))
        return optional(" WHERE ", self.condition(scope, depth, subqueries, outer))

    # FROM -------------------------------------------------------------------------------------------------------------

    def relation(self, depth):
        """A relation, its columns and about how many rows it has."""
        alias = self.name()
        if self.queries and self.chance(0.4):
            name = self.choice(list(self.queries))
            columns, rows = self.queries[name]
        elif depth > 0 and self.chance(0.25):
            kinds = [self.choice(KINDS) for _ in range(self.source.randrange(1, 4))]
            query = self.query(kinds, depth - 1, limit=0.2)
            return Piece("(", query, f") AS {alias}({column_names(kinds)})"), scope_of(alias, kinds), 60
        else:
            name = self.choice(list(self.tables))
            columns, rows = self.tables[name]
        return Piece(f"{name} AS {alias}"), [(f"{alias}.{column}", kind) for column, kind in columns], rows

    def relations(self, depth, outer=()):
        """A FROM clause of one to four relations; its columns and about how many rows it has."""
        relations, scope, rows = self.relation(depth)
        for _ in range(self.choice([0, 1]) if outer else self.choice([0, 0, 1, 1, 2, 3])):
            if self.chance(0.08):
                relations, scope, rows = self.lateral(relations, scope, rows)
            else:
                relations, scope, rows = self.join(relations, scope, rows, depth)
            if rows > CROSS:
                break
        return relations, scope, rows

    def lateral(self, left, scope, rows):
        alias, kinds = self.name(), [self.choice(KINDS) for _ in range(self.source.randrange(1, 3))]
        query = self.query(kinds, 0, scope, limit=0.3)
        join, on = self.choice([(" CROSS JOIN LATERAL (", ""), (" LEFT JOIN LATERAL (", " ON TRUE")])
        joined = Piece(left, join, query, f") AS {alias}({column_names(kinds)})", on, simpler=[[left]])
        return joined, scope + scope_of(alias, kinds), rows * 10

    def join(self, left, scope, rows, depth):
        right, right_scope, right_rows = self.relation(depth)
        pairs = [(a, b) for a, kind in scope for b, other in right_scope if kind == other != "bool"]
        cross, kind = rows * right_rows, self.choice(JOINS)
        if kind == "CROSS JOIN" and cross <= CROSS // 5:
            return Piece(left, " CROSS JOIN ", right, simpler=[[left]]), scope + right_scope, cross
        kind = "JOIN" if kind == "CROSS JOIN" else kind
        equal = self.source.sample(pairs, min(len(pairs), self.choice([1, 1, 1, 2, 2, 3])))
        operators = [" = "] * 9 + [" IS NOT DISTINCT FROM "]
        conditions = [Piece(a, self.choice(operators), b) for a, b in equal]
        if self.chance(0.3):
            conditions.append(self.residual(pairs, scope + right_scope))
        if cross <= CROSS and self.chance(0.15):
            # Without an equality, perhaps.
            conditions = conditions[1:]
        if not conditions:
            conditions = [self.condition(scope + right_scope, 1) if cross <= CROSS else Piece("FALSE")]
        on = Piece(listed(conditions, " AND "), simpler=[[one] for one in conditions] if len(conditions) > 1 else [])
        joined = Piece(left, f" {kind} ", right, " ON ", on, simpler=[[left]])
        keeps_right = kind not in ("SEMI JOIN", "ANTI JOIN")
        return joined, scope + (right_scope if keeps_right else []), max(rows, right_rows, cross // 6)

    def residual(self, pairs, scope):
        if pairs and self.chance(0.6):
            a, b = self.choice(pairs)
            return Piece(a, self.choice([" < ", " <= ", " > ", " <> "]), b)
        return self.condition(scope, 1)

    # SELECT -----------------------------------------------------------------------------------------------------------

    def query(self, kinds, depth, outer=(), limit=0.3, top=False):
        """A query with these columns, or some; under an ORDER BY over all of them with the chance `limit`."""
        kinds = kinds or [self.choice(KINDS) for _ in range(self.source.randrange(1, 5))]
        if depth > 0 and self.chance(0.13):
            sides = [self.select(kinds, depth - 1, outer) for _ in range(2)]
            operation = f") {self.choice(SET_OPERATIONS)} ("
            query = Piece("(", sides[0], operation, sides[1], ")", simpler=[[sides[0]], [sides[1]]])
        else:
            query = self.select(kinds, depth, outer, top)
        if query.inexact or not self.chance(limit):
            return query
        order = " ORDER BY " + ", ".join(f"{index + 1}{self.choice(DIRECTIONS)}" for index in range(len(kinds)))
        offset = f" OFFSET {self.choice([0, 1, 3])}" if self.chance(0.2) else ""
        rows = optional(f" LIMIT {self.choice([0, 1, 2, 5, 20])}{offset}") if self.chance(0.7) else ""
        ordered = Piece(query, optional(order, rows))
        ordered.ordered = True
        return ordered

    def select(self, kinds, depth, outer, top=False):
        relations, scope, _ = self.relations(depth, outer)
        where = self.where(scope, depth, outer, subqueries=depth > 0)
        shape = self.source.random()
        if shape < 0.35:
            return self.grouped(kinds, relations, where, scope, top)
        if shape < 0.5:
            return self.windowed(kinds, relations, where, scope)
        if shape < 0.53:
            return self.distinct_on(kinds, relations, where, scope)
        distinct = "DISTINCT " if self.chance(0.15) else ""
        columns = [self.expression(kind, scope, 1 if depth else 0, depth > 0) for kind in kinds]
        return Piece("SELECT ", distinct, named(columns), " FROM ", relations, where)

    def distinct_on(self, kinds, relations, where, scope):
        keys = [column for column, _ in self.source.sample(scope, min(len(scope), 2))]
        rest = [column for column, _ in scope if column not in keys]
        order = ", ".join(column + self.choice(DIRECTIONS) for column in keys + rest)
        columns = named([self.expression(kind, scope, 0) for kind in kinds])
        return Piece(f"(SELECT DISTINCT ON ({', '.join(keys)}) ", columns, " FROM ", relations, where, f" ORDER BY {order})")

    def grouped(self, kinds, relations, where, scope, top):
        keys, columns, inexact = [], [], False
        for kind in kinds:
            column = self.column(kind, scope)
            if column and self.chance(0.45):
                keys.append(column.sql())
                columns.append(column)
            else:
                columns.append(self.aggregate(kind, scope, top))
                inexact = inexact or (top and kind == "dbl")
        if scope and self.chance(0.3):
            keys.append(self.choice(scope)[0])
        keys = list(dict.fromkeys(keys))
        having = self.aggregate("int", scope), self.choice(COMPARISONS), self.literal("int")
        having = optional(" HAVING ", *having) if self.chance(0.15) else ""
        query = Piece("SELECT ", named(columns), " FROM ", relations, where, self.group_by(keys), having)
        query.inexact = inexact
        return query

    def group_by(self, keys):
        if not keys:
            return ""
        text = ", ".join(keys)
        if not self.chance(0.25):
            return f" GROUP BY {text}"
        if self.chance(0.5) and len(keys) <= 3:
            return f" GROUP BY {self.choice(['ROLLUP', 'CUBE'])} ({text})"
        sets = [self.source.sample(keys, self.source.randrange(0, len(keys) + 1)) for _ in range(self.source.randrange(1, 4))]
        texts = [f"({', '.join(one)})" for one in [*sets, keys]]
        return f" GROUP BY GROUPING SETS ({', '.join(texts)})"

    def aggregate(self, kind, scope, top=False):
        """An aggregate of this type; at the top of a query also ones that need a tolerance."""
        only = optional(" FILTER (WHERE ", self.condition(scope, 0), ")") if self.chance(0.15) else Piece("")
        distinct = "DISTINCT " if self.chance(0.15) else ""

        def value(of=kind):
            return self.expression(of, scope, 1)

        shape = self.source.randrange(6)
        if kind in ("int", "big") and shape == 0:
            return Piece("count(*)", only)
        if kind in ("int", "big") and shape < 3:
            return Piece("count(", self.choice([distinct, "DISTINCT "]), value(self.kind_in(scope)), ")", only)
        if kind in NUMBERS and shape == 3:
            return Piece("sum(", distinct, value(), ")", only)
        if kind == "dbl" and top and shape < 2:
            return Piece("avg(", distinct, value(self.choice(NUMBERS)), ")", only)
        if kind == "dbl" and top and shape == 2:
            function = self.choice(["median", "stddev", "var_pop", "var_samp"])
            return Piece(function, "(", value(self.choice(["int", "dbl"])), ")", only)
        if kind == "bool":
            return Piece(self.choice(["bool_and", "bool_or"]), "(", value(), ")", only)
        if kind == "str" and shape < 2:
            text = value()
            return Piece("string_agg(", text, ", ',' ORDER BY ", text, self.choice(DIRECTIONS), ")", only)
        return Piece(self.choice(["min", "max"]), "(", value(), ")", only)

    # Windows ----------------------------------------------------------------------------------------------------------

    def windowed(self, kinds, relations, where, scope):
        columns = [self.expression(kind, scope, 0) if self.chance(0.45) else self.window(kind, scope) for kind in kinds]
        qualify = self.window("int", scope), self.choice(COMPARISONS), self.literal("int")
        qualify = optional(" QUALIFY ", *qualify) if self.chance(0.1) else ""
        return Piece("SELECT ", named(columns), " FROM ", relations, where, qualify)

    def window(self, kind, scope):
        some = self.source.sample(scope, min(len(scope), self.choice([1, 1, 2])))
        partition = optional("PARTITION BY ", ", ".join(column for column, _ in some), " ") if self.chance(0.7) else ""
        # Rows that are alike in all columns may change places.
        total = "ORDER BY " + ", ".join(column + self.choice(DIRECTIONS) for column, _ in self.source.sample(scope, len(scope)))
        some = self.source.sample(scope, min(len(scope), self.choice([1, 1, 2])))
        partial = "ORDER BY " + ", ".join(column + self.choice(DIRECTIONS) for column, _ in some)
        value, shape = self.expression(kind, scope, 0), self.source.randrange(6)
        if kind in ("int", "big") and shape == 0:
            function = self.choice(["row_number()", "ntile(3)", "rank()", "dense_rank()"])
            return Piece(function, " OVER (", partition, partial if "rank" in function else total, ")")
        if shape == 1:
            more = self.choice(["", ", 1", ", 2", ", 0"])
            return Piece(self.choice(["lag", "lead"]), "(", value, more, ") OVER (", partition, total, ")")
        if shape == 2:
            function, more = self.choice([("first_value", ""), ("last_value", ""), ("nth_value", ", 2")])
            nulls = self.choice(["", "", " IGNORE NULLS"])
            return Piece(function, "(", value, more, ")", nulls, " OVER (", partition, total, " ", self.frame("ROWS"), ")")
        only = optional(" FILTER (WHERE ", self.condition(scope, 0), ")") if self.chance(0.1) else ""
        call = Piece(self.choice(WINDOW_AGGREGATES.get(kind, ["min", "max"])), "(", value, ")", only)
        return Piece(call, " OVER (", partition, self.choice(["", partial, *self.frames(scope, total, partial)]), ")")

    def frames(self, scope, total, partial):
        yield f"{total} {self.frame('ROWS')}"
        yield f"{partial} {self.frame('GROUPS')}"
        numbers = [column for column, kind in scope if kind in NUMBERS]
        dates = [column for column, kind in scope if kind in ("date", "ts")]
        if numbers:
            yield f"ORDER BY {self.choice(numbers)}{self.choice(DIRECTIONS)} {self.frame('RANGE')}"
        if dates:
            yield f"ORDER BY {self.choice(dates)}{self.choice(DIRECTIONS)} {self.frame('RANGE', ' DAY')}"

    def frame(self, unit, days=""):
        amount = [f"INTERVAL '{self.source.randrange(4)}'{days}" if days else str(self.source.randrange(4)) for _ in range(2)]
        bounds = ["UNBOUNDED PRECEDING", f"{amount[0]} PRECEDING", "CURRENT ROW", f"{amount[1]} FOLLOWING", "UNBOUNDED FOLLOWING"]
        first, last = sorted(self.source.sample(range(5), 2))
        exclude = self.choice([""] * 8 + [" EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS"])
        return f"{unit} BETWEEN {bounds[first]} AND {bounds[last]}{exclude}"


def column_names(kinds):
    return ", ".join(f"c{index}" for index in range(len(kinds)))


def scope_of(alias, kinds):
    return [(f"{alias}.c{index}", kind) for index, kind in enumerate(kinds)]


def named(columns):
    return listed([Piece(column, f" AS c{index}") for index, column in enumerate(columns)])
