"""Runs one query on one peer and prints its answer; one process for each run, so that memory is measured apart.

    python engines.py ENGINE --query FILE --tables NAME=PATH... [--threads N] [--memory BYTES] [--spill DIRECTORY]

Prints one line of JSON: the rows (values as `answers` writes them) and the seconds that the query took, without the
start of Python and the import of the engine. The tables are there under their names, and as ${name} in the text.
"""

import argparse
import json
import os
import string
import time

import answers


def duckdb(arguments, tables):
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"SET temp_directory = '{arguments.spill}'")
    if arguments.threads:
        connection.execute(f"SET threads = {arguments.threads}")
    if arguments.memory:
        connection.execute(f"SET memory_limit = '{arguments.memory // 1000}KB'")
    names = {name: f"'{path}'" for name, path in tables.items()}
    for name, path in names.items():
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {path}")
    start = time.perf_counter()
    rows = connection.execute(query(arguments, names)).fetchall()
    return start, rows


def polars(arguments, tables):
    if arguments.threads:
        os.environ["POLARS_MAX_THREADS"] = str(arguments.threads)
    if arguments.memory:
        # The only limit that Polars has; undocumented, and counted without what the process has anyway.
        os.environ["POLARS_OOC_MEMORY_BUDGET_MB"] = str(arguments.memory // 1_000_000)
    os.environ["POLARS_TEMP_DIR"] = arguments.spill
    import polars

    def scan(path):
        if ".json" in path:
            return polars.scan_ndjson(path)
        return polars.scan_csv(path, try_parse_dates=True) if path.endswith(".csv") else polars.scan_parquet(path)

    start = time.perf_counter()
    context = polars.SQLContext({name: scan(path) for name, path in tables.items()})
    frame = context.execute(query(arguments, {name: name for name in tables}))
    rows = frame.collect(engine="streaming").rows()
    return start, rows


def datafusion(arguments, tables):
    import datafusion

    config = datafusion.SessionConfig()
    if arguments.threads:
        config = config.with_target_partitions(arguments.threads)
    runtime = datafusion.RuntimeEnvBuilder().with_disk_manager_specified(arguments.spill)
    if arguments.memory:
        runtime = runtime.with_fair_spill_pool(arguments.memory)
    context = datafusion.SessionContext(config, runtime)
    start = time.perf_counter()
    for name, path in tables.items():
        if path.endswith(".json.gz"):
            context.register_json(name, path, file_extension=".json.gz", file_compression_type="gzip")
        elif path.endswith(".csv"):
            context.register_csv(name, path)
        else:
            context.register_parquet(name, path)
    batches = context.sql(query(arguments, {name: name for name in tables})).collect()
    rows = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
    return start, rows


ENGINES = {"duckdb": duckdb, "polars": polars, "datafusion": datafusion}


def query(arguments, names):
    with open(arguments.query) as file:
        parameters = dict(parameter.split("=", 1) for parameter in arguments.parameters)
        return string.Template(file.read()).safe_substitute(parameters, **names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("--query", required=True)
    parser.add_argument("--tables", nargs="+", required=True)
    parser.add_argument("--parameters", nargs="*", default=[])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory", type=int)
    parser.add_argument("--spill", required=True)
    arguments = parser.parse_args()
    tables = dict(table.split("=", 1) for table in arguments.tables)
    start, rows = ENGINES[arguments.engine](arguments, tables)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "rows": [[answers.to_json(value) for value in row] for row in rows]}))


if __name__ == "__main__":
    main()
