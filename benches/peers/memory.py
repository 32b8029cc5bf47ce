"""Whether every operator keeps its limit: floe and DuckDB over more data than the memory they are given.

    cargo build --release && python3 benches/peers/memory.py --suite large --limits 1GB 300MB 128MB
    cargo build --release && python3 benches/peers/memory.py --suite small

`large` runs over TPC-H's lineitem and orders at scale factor 10, `small` over two files of 1.5 million rows of unique
texts of 34 characters and integers (about 110 MB each) at 60 MB with one thread. Answers are compared with those of
DuckDB without a limit (kept beside the data). What is promised of the peak resident memory is 1.25 × limit plus an idle
process for `large`, and 75 MB beyond an idle process for `small`.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import answers
import run

WHOLE = "count(*), sum(k), sum(length(text))"


@dataclasses.dataclass
class Case:
    name: str
    text: str
    # What DuckDB answers for the reference, where the text itself would not do.
    reference: str = ""
    # The answer is written to a Parquet file whose rows must be in the order of this column.
    sorted_by: str = ""


LARGE = [
    Case(
        "big join",
        "SELECT count(*), sum(l_extendedprice), sum(o_totalprice), sum(length(l_comment)), sum(length(o_comment))"
        " FROM lineitem JOIN orders ON l_orderkey = o_orderkey",
    ),
    Case(
        "fat self join",
        "SELECT count(*), sum(length(a.l_comment)), sum(length(b.l_comment)), max(a.l_comment || b.l_comment)"
        " FROM lineitem a JOIN lineitem b ON a.l_orderkey = b.l_orderkey AND a.l_linenumber = b.l_linenumber",
    ),
    Case("count distinct", "SELECT count(DISTINCT l_comment) FROM lineitem"),
    Case(
        "full sort",
        "SELECT * FROM lineitem ORDER BY l_comment",
        sorted_by="l_comment",
    ),
    Case(
        "two windows",
        "SELECT count(*), sum(a), max(a), sum(b), max(b) FROM (SELECT"
        " row_number() OVER (PARTITION BY l_partkey ORDER BY l_shipdate, l_orderkey, l_linenumber) AS a,"
        " sum(l_quantity) OVER (PARTITION BY l_suppkey ORDER BY l_shipdate, l_orderkey, l_linenumber) AS b"
        " FROM lineitem) AS w",
    ),
    Case(
        "grouped median",
        "SELECT count(*), sum(m), min(m), max(m) FROM"
        " (SELECT l_partkey, median(CAST(l_extendedprice AS DOUBLE)) AS m FROM lineitem GROUP BY l_partkey) AS g",
    ),
    Case(
        "array_agg",
        "SELECT count(*), sum(array_length(a)), max(array_length(a)) FROM"
        " (SELECT l_suppkey, array_agg(l_comment) AS a FROM lineitem GROUP BY l_suppkey) AS g",
    ),
    Case(
        "ordered array_agg",
        "SELECT count(*), sum(array_length(a)), sum(a[1]), sum(a[100]) FROM"
        " (SELECT l_suppkey, array_agg(l_orderkey ORDER BY l_comment, l_orderkey) AS a FROM lineitem"
        " GROUP BY l_suppkey) AS g",
    ),
    Case(
        "global string_agg",
        "SELECT length(string_agg(l_comment, ',')) FROM lineitem",
        reference="SELECT sum(length(l_comment)) + count(l_comment) - 1 FROM lineitem",
    ),
]

SMALL = [
    Case("join", "SELECT count(*), sum(a.k), sum(length(a.text) + length(b.text)) FROM a JOIN b ON a.text = b.text"),
    Case("join, many matches", "SELECT count(*), sum(a.k + b.k) FROM a JOIN b ON a.hundred = b.hundred AND b.k < 1000"),
    Case(
        "left join",
        "SELECT count(*), count(b.k), sum(length(a.text)), sum(length(b.text)) FROM a LEFT JOIN b ON a.text = b.text",
    ),
    Case(
        "right join",
        "SELECT count(*), count(a.k), sum(length(a.text)), sum(length(b.text)) FROM a RIGHT JOIN b ON a.text = b.text",
    ),
    Case(
        "full join",
        "SELECT count(*), count(a.k), count(b.k), sum(length(a.text)), sum(length(b.text))"
        " FROM a FULL JOIN b ON a.text = b.text AND a.k <> 5",
    ),
    Case("semi join", f"SELECT {WHOLE} FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.text = a.text)"),
    Case("anti join", f"SELECT {WHOLE} FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.text = a.text)"),
    Case("not in", f"SELECT {WHOLE} FROM a WHERE text NOT IN (SELECT text FROM b)"),
    Case("mark join", "SELECT count(*), sum(k) FROM a WHERE k < 100 OR text IN (SELECT text FROM b)"),
    Case("one fat key", "SELECT count(*), sum(a.k), sum(length(b.text)) FROM a JOIN b ON a.k % 1 = b.k % 1 AND b.k < 100"),
    Case(
        "range join",
        "SELECT count(*), sum(a.k), sum(length(b.text)) FROM a JOIN b ON a.k > b.k AND a.k < b.k + 3",
    ),
    Case("nested loop", "SELECT count(*), sum(length(a.text)) FROM a JOIN b ON a.k + b.k = 1000 OR a.k = b.k + 7 WHERE b.k < 20"),
    Case("cross join", "SELECT count(*), sum(a.k), max(b.text) FROM a CROSS JOIN (SELECT * FROM b WHERE k < 5) AS b"),
    Case(
        "asof join",
        "SELECT count(*), sum(b.k), sum(length(b.text)) FROM a ASOF JOIN b ON a.hundred = b.hundred AND a.k >= b.k",
    ),
    Case(
        "sort",
        "SELECT * FROM a ORDER BY text",
        sorted_by="text",
    ),
    Case("top n", "SELECT k, text FROM a ORDER BY text DESC LIMIT 5"),
    Case("huge limit", f"SELECT {WHOLE} FROM (SELECT * FROM a ORDER BY text LIMIT 1400000) AS s"),
    Case(
        "windows",
        "SELECT count(*), sum(x), sum(y), sum(length(z)) FROM (SELECT row_number() OVER (ORDER BY text) AS x,"
        " sum(k) OVER (PARTITION BY hundred ORDER BY k) AS y, lag(text) OVER (PARTITION BY unique_k ORDER BY k) AS z"
        " FROM a) AS w",
    ),
    Case(
        "window, one partition",
        "SELECT count(*), sum(x), sum(length(y)), min(z) FROM (SELECT sum(k) OVER (ORDER BY k ROWS BETWEEN 1000"
        " PRECEDING AND 5 FOLLOWING) AS x, last_value(text) OVER (ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND"
        " UNBOUNDED FOLLOWING) AS y, count(*) OVER () AS z FROM a) AS w",
    ),
    Case("group by", "SELECT count(*), sum(n), max(t) FROM (SELECT text, count(*) AS n, max(k) AS t FROM a GROUP BY text) AS g"),
    Case("median", "SELECT median(k), quantile_cont(k, 0.1) FROM a"),
    Case("grouped median", "SELECT hundred, median(k) FROM a GROUP BY hundred"),
    # One value is the most frequent: of several any would do.
    Case("mode", "SELECT mode(CASE WHEN hundred < 3 THEN 0 ELSE hundred END) FROM a"),
    Case("array_agg", "SELECT count(*), sum(array_length(x)) FROM (SELECT hundred, array_agg(text) AS x FROM a GROUP BY hundred) AS g"),
    Case("global array_agg", "SELECT array_length(array_agg(text ORDER BY text)) FROM a"),
    Case("string_agg", "SELECT count(*), sum(length(x)) FROM (SELECT hundred, string_agg(text, ',' ORDER BY k) AS x FROM a GROUP BY hundred) AS g"),
    Case("global string_agg", "SELECT length(string_agg(text, ',')) FROM a"),
    Case("count distinct", "SELECT count(DISTINCT text), count(DISTINCT k) FROM a"),
    Case("grouped distinct", "SELECT hundred, count(DISTINCT text), sum(DISTINCT k) FROM a GROUP BY hundred"),
    Case("rollup", "SELECT count(*), sum(n), sum(g) FROM (SELECT text, hundred, count(*) AS n, GROUPING(text) AS g FROM a GROUP BY ROLLUP (hundred, text)) AS r"),
    Case("cube", "SELECT count(*), sum(n) FROM (SELECT text, hundred, sum(k) AS n FROM a GROUP BY CUBE (hundred, text)) AS r"),
    Case("union", f"SELECT {WHOLE} FROM (SELECT k, text FROM a UNION SELECT k, text FROM b) AS u"),
    Case("intersect", f"SELECT {WHOLE} FROM (SELECT k, text FROM a INTERSECT SELECT k, text FROM b) AS u"),
    Case("intersect all", f"SELECT {WHOLE} FROM (SELECT k, text FROM a INTERSECT ALL SELECT k, text FROM b) AS u"),
    Case("except", f"SELECT {WHOLE} FROM (SELECT k, text FROM a EXCEPT SELECT k, text FROM b) AS u"),
    Case("except all", f"SELECT {WHOLE} FROM (SELECT k, text FROM a EXCEPT ALL SELECT k, text FROM b) AS u"),
    Case("distinct on", f"SELECT {WHOLE} FROM (SELECT DISTINCT ON (k % 500000) k, text FROM a ORDER BY k % 500000, k) AS u"),
    Case("unnest", "SELECT count(*), sum(x) FROM (SELECT text, unnest([k, k + 1, hundred]) AS x FROM a) AS u"),
    Case(
        "recursive",
        "WITH RECURSIVE r(k, text, n) AS (SELECT k, text, 1 FROM a UNION ALL SELECT k, text, n + 1 FROM r WHERE n < 3)"
        f" SELECT {WHOLE}, sum(n) FROM r",
    ),
    Case(
        "recursive, distinct",
        "WITH RECURSIVE r(k) AS (SELECT k % 1000 FROM a UNION SELECT (k * 7 + 3) % 300000 FROM r) SELECT count(*), sum(k) FROM r",
    ),
    Case("shared query", "WITH s AS (SELECT k, text FROM a WHERE k % 10 <> 3) SELECT count(*), sum(x.k), max(y.text) FROM s AS x JOIN s AS y ON x.text = y.text"),
    Case("correlated scalar", "SELECT count(*), sum(a.k) FROM a WHERE a.k >= (SELECT max(b.k) FROM b WHERE b.text = a.text)"),
    Case("correlated limit", "SELECT count(*), sum(x) FROM (SELECT (SELECT b.k FROM b WHERE b.text = a.text ORDER BY b.k LIMIT 1) AS x FROM a) AS s"),
    Case("correlated inequality", "SELECT count(*), sum(a.k) FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.text = a.text AND b.k < a.k + 1)"),
    Case("lateral", "SELECT count(*), sum(l.k) FROM a, LATERAL (SELECT b.k FROM b WHERE b.text = a.text ORDER BY b.k LIMIT 1) AS l"),
    Case("any, all", "SELECT count(*), sum(k) FROM a WHERE text = ANY (SELECT text FROM b) AND k >= ALL (SELECT k FROM b WHERE k < 1000)"),
]


def make_small(directory, python):
    directory.mkdir(parents=True, exist_ok=True)
    tables = {name: (directory / f"{name}.parquet").resolve() for name in ("a", "b")}
    for name, first in (("a", 0), ("b", 500_000)):
        if not tables[name].exists():
            # A permutation, so that no column is sorted; two thirds of the rows are in both.
            program = (
                f"COPY (SELECT k, unique_k, hundred, md5(CAST(k AS VARCHAR)) || '-t' AS text FROM"
                f" (SELECT {first} + (i * 7919) % 1500000 AS k, (i * 104729) % 1500000 AS unique_k, i % 100 AS hundred"
                f" FROM range(1500000) AS t(i))) TO '{tables[name]}' (FORMAT parquet)"
            )
            subprocess.run([python, "-c", f"import duckdb; duckdb.execute({program!r})"], check=True)
    return tables


def reference(case, options):
    """DuckDB's answer without a limit; kept, for it takes long."""
    path = options.data / "references.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    text = content(case) if case.sorted_by else case.reference or case.text
    if text not in kept:
        result = one("duckdb", text, unlimited(options))
        if "rows" not in result:
            print(f"no reference for {case.name}: {result['error']}", file=sys.stderr)
            return None
        kept[text] = [[answers.to_json(value) for value in row] for row in result["rows"]]
        path.write_text(json.dumps(kept))
    return [[answers.from_json(value) for value in row] for row in kept[text]]


def unlimited(options):
    return argparse.Namespace(**{**vars(options), "memory_limit": "6GB", "threads": None})


def content(case, table=None):
    """What the rows of a written file, or of the table they come from, are compared by: sums of hashes."""
    table = table or case.text.split("FROM ")[1].split()[0]
    return f"SELECT count(*), sum(CAST(hash(t) AS HUGEINT)), count(DISTINCT {case.sorted_by}) FROM {table} AS t"


def one(engine, text, options, **more):
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(text)
        file.flush()
        return run.run(engine, argparse.Namespace(**{**vars(options), **more}), pathlib.Path(file.name))


# Run in the venv: `is_sorted(path, column)` a slice at a time.
IS_SORTED = """
import sys, polars
frame, last, start = polars.scan_parquet(sys.argv[1]).select(sys.argv[2]), None, 0
while True:
    part = frame.slice(start, 2_000_000).collect().to_series()
    if part.is_empty():
        break
    if not part.is_sorted() or (last is not None and part[0] < last):
        sys.exit("not sorted")
    last, start = part[-1], start + len(part)
"""


def attempt(case, engine, options):
    """One run: what `run.run` gives, with what a written file holds as the rows."""
    if not case.sorted_by:
        return one(engine, case.text, options)
    with tempfile.TemporaryDirectory(prefix="written-", dir=options.spill_dir) as directory:
        path = os.path.join(directory, "sorted.parquet")
        result = one(engine, f"COPY ({case.text}) TO '{path}' (FORMAT parquet)", options)
        if "rows" in result:
            result["rows"] = one("duckdb", content(case, f"'{path}'"), unlimited(options)).get("rows")
            if subprocess.run([options.python, "-c", IS_SORTED, path, case.sorted_by]).returncode:
                result["rows"] = [["not sorted"]]
        return result


def verdict(result, expected, promised):
    if "error" in result:
        return f"failed: {result['error'][:100]}"
    different = None if expected is None else answers.difference(result["rows"], expected)
    over = f"over by {(result['peak'] - promised) / 1e6:.0f} MB" if promised and result["peak"] > promised else ""
    return ", ".join(filter(None, [f"WRONG: {different}" if different else "", over])) or "ok"


def check(case, engines, options, idle):
    limit = run.size(options.memory_limit)
    promised = idle + (75e6 if options.suite == "small" else 1.25 * limit)
    expected = reference(case, options)
    fine, seconds = True, {}
    for engine in engines:
        result = attempt(case, engine, options)
        words = verdict(result, expected, promised if engine == "floe" else None)
        seconds[engine] = result.get("seconds")
        fine = fine and (engine != "floe" or words == "ok")
        time = f"{result['seconds']:8.2f}s" if "seconds" in result else "        -"
        both = engine != "floe" and seconds.get("floe") and seconds[engine]
        ratio = f"{seconds['floe'] / seconds[engine]:5.2f}" if both else "     "
        print(f"{case.name:<22} {options.memory_limit:>6} {engine:<7} {time} {result['peak'] / 1e6:7.0f} MB {ratio}  {words}")
        sys.stdout.flush()
    return fine


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=["large", "small"], default="small")
    parser.add_argument("--limits", nargs="+", help="[default: 1GB 300MB 128MB for large, 60MB for small]")
    parser.add_argument("--threads", type=int, help="[default: all for large, 1 for small]")
    parser.add_argument("--scale", type=float, default=10)
    parser.add_argument("--cases", nargs="+", help="some of the suite's by name")
    parser.add_argument("--engines", nargs="+", default=["floe", "duckdb"], choices=["floe", "duckdb"])
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--venv", type=pathlib.Path, default=run.HERE / "venv")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", run.PACKAGE / "target"))
    parser.add_argument("--floe", type=pathlib.Path, default=target / "release" / "floe")
    parser.add_argument("--spill-dir", type=pathlib.Path)
    parser.add_argument("--timeout", type=float, default=900)
    return parser.parse_args()


def main():
    options = parse()
    options.python, options.parameters = run.prepare_venv(options.venv), {}
    scale = int(options.scale) if options.scale == int(options.scale) else options.scale
    options.data = options.data or run.HERE / "data" / ("memory" if options.suite == "small" else f"sf{scale}")
    if options.suite == "small":
        options.tables, cases, options.threads = make_small(options.data, options.python), SMALL, options.threads or 1
    else:
        options.tables = run.prepare_tpch(options.data, options.venv, scale, ["lineitem", "orders"], "parquet")
        cases = LARGE
    idle = run.measure([options.floe, "-c", "SELECT 1"], os.environ, 60)[4]
    print(f"threads {options.threads or 'all'}, idle process {idle / 1e6:.0f} MB")
    limits = options.limits or (["60MB"] if options.suite == "small" else ["1GB", "300MB", "128MB"])
    fine = []
    for options.memory_limit in limits:
        fine += [check(case, options.engines, options, idle) for case in cases if case.name in (options.cases or [case.name])]
    print(f"{sum(fine)} of {len(fine)} as promised")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
