"""floe beside DuckDB, Polars and DataFusion: the same query, the same file, the same limits, in alternation.

    cargo build --release && python3 benches/peers/run.py --suite tpch --scale 1 --memory-limit 1GB --threads 2

Makes a venv with the peers and the data of the suite on first use (or takes those named by --venv and --data), runs
each query in a process of its own, checks that the answers agree and prints time, peak memory and the ratio to the
fastest peer, and at the end the totals. A time is that of the statements, without the start and end of the process:
floe's is what `--timer` says of all of them, those that make views of the files included. "whole" is the time of floe's
process from its start to its end.
Needs Python 3.9 and a Unix.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import string
import subprocess
import sys
import tempfile
import threading
import time

import answers

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE.parent.parent
PEERS = ["duckdb", "polars", "datafusion"]
REQUIREMENTS = ["duckdb==2.0.*", "polars==2.1.*", "datafusion==55.*", "tpchgen-cli"]
TPCH_TABLES = ["customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier"]
SUITES = {
    "single": (["lineitem"], ["q1", "q6", "groups60m", "comments34m"]),
    "tpch": (TPCH_TABLES, [f"q{number:02}" for number in range(1, 23)]),
    "tpcds": ([], [f"query{number:02}" for number in range(1, 100)]),
    "csv": ([], ["count", "q6", "q1", "all_columns"]),
    "parquet": (["lineitem"], ["q6", "q1", "all_columns", "one_order"]),
    "json": ([], ["files_by_type", "files_by_login", "single_by_type", "single_by_login"]),
}
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "B": 1}


def size(text):
    """Bytes of a size such as 300MB."""
    number = text.rstrip("BbGgIiKkMm")
    unit = text[len(number):].strip().upper() or "B"
    return int(float(number) * UNITS[unit])


def prepare_venv(path):
    python = path / "bin" / "python"
    if not python.exists():
        print(f"making {path}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", path], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
    return python


def prepare_tpch(directory, venv, scale, names, file_format):
    """The path of each table, made where it is not there yet."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = {}
    for table in names:
        path = directory / f"{table}.{file_format}"
        if not path.exists():
            print(f"making {path}", file=sys.stderr)
            command = [venv / "bin" / "tpchgen-cli", file_format, "-s", str(scale), f"--tables={table}"]
            subprocess.run([*command, f"--output-dir={directory}"], check=True)
        tables[table] = path.resolve()
    return tables


def prepare_tpcds(directory, python, scale):
    """The same for TPC-DS, whose tables are Parquet always."""
    if len(list(directory.glob("*.parquet"))) < 24:
        print(f"making the tables of TPC-DS in {directory}", file=sys.stderr)
        subprocess.run([python, HERE / "tpcds.py", directory, "--scale", str(scale)], check=True)
    return {path.stem: path.resolve() for path in sorted(directory.glob("*.parquet"))}


def prepare_csv(directory, venv, scale):
    """TPC-H's lineitem as CSV in six files."""
    folder = directory / "lineitem"
    if len(list(folder.glob("*.csv"))) < 6:
        print(f"making lineitem in {directory}", file=sys.stderr)
        command = [venv / "bin" / "tpchgen-cli", "csv", "-s", str(scale), "--tables=lineitem", "--parts=6"]
        subprocess.run([*command, f"--output-dir={directory}"], check=True)
    return {"lineitem": folder.resolve() / "*.csv"}


def prepare_events(directory, python):
    """Ten gzip files of nested JSON lines, and one with all of their lines."""
    if not (directory / "all.json.gz").exists():
        print(f"making events in {directory}", file=sys.stderr)
        subprocess.run([python, HERE / "events.py", directory], check=True)
    directory = directory.resolve()
    return {"events": directory / "events-*.json.gz", "whole": directory / "all.json.gz"}


def prepare_tpcds_queries(directory, python):
    """The 99 texts, which are not part of this repository, as DuckDB's extension for TPC-DS has them."""
    if not directory.exists():
        program = (
            "import duckdb, pathlib, sys; directory = pathlib.Path(sys.argv[1]); directory.mkdir(parents=True);"
            "duckdb.execute('INSTALL tpcds; LOAD tpcds');"
            "[(directory / f'query{number:02}.sql').write_text(text)"
            " for number, text in duckdb.sql('FROM tpcds_queries()').fetchall()]"
        )
        subprocess.run([python, "-c", program, directory], check=True)
    return directory


def measure(command, environment, timeout):
    """Runs a command; its output, its error output, exit code, wall time and peak resident bytes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    parts = {}

    def drain(name, stream):
        parts[name] = stream.read()

    drains = [
        threading.Thread(target=drain, args=("output", process.stdout)),
        threading.Thread(target=drain, args=("errors", process.stderr)),
        # Killed rather than waited for: a query that hangs is a result too.
        threading.Timer(timeout, process.kill),
    ]
    for thread in drains:
        thread.start()
    # wait4 gives this child's own peak; the sum over all children would hide it.
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    drains[2].cancel()
    drains[0].join()
    drains[1].join()
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return parts["output"].decode(), parts["errors"].decode(), process.returncode, wall, peak


def run_floe(options, query, spill):
    names = {name: f"'{path}'" for name, path in options.tables.items()}
    text = string.Template(query.read_text()).safe_substitute(options.parameters, **names)
    # Making a view of files looks into them: only of those that the query reads.
    names = {name: path for name, path in names.items() if re.search(rf"\b{name}\b", text)}
    views = "".join(f"CREATE VIEW {name} AS SELECT * FROM {path};\n" for name, path in names.items())
    command = [options.floe, "--format", "json-compact", "--spill-dir", spill, "--timer", "-c", views + text]
    if options.threads:
        command += ["--threads", str(options.threads)]
    if options.memory_limit:
        command += ["--memory-limit", options.memory_limit]
    output, errors, code, wall, peak = measure(command, os.environ, options.timeout)
    lines = output.strip().splitlines()
    if len(lines) > len(names) and "rows" in (answer := json.loads(lines[-1])):
        seconds = sum(float(time) for time in re.findall(r"^time: ([0-9.]+) s$", errors, re.MULTILINE))
        return {"rows": answers.from_floe(answer), "seconds": seconds, "whole": wall, "peak": peak}
    refused = json.loads(lines[-1]).get("error", {}) if lines else {}
    return {"error": refused.get("message") or failure(errors, code), "peak": peak}


def failure(errors, code):
    """What a peer said last: the line that names its exception, else the last one, else how it ended."""
    lines = errors.strip().splitlines() or [f"killed by signal {-code}" if code < 0 else f"exit code {code}"]
    named = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
    return (named or lines)[-1]


def run_peer(engine, options, query, spill):
    tables = [f"{name}={path}" for name, path in options.tables.items()]
    command = [options.python, HERE / "engines.py", engine, "--query", query, "--spill", spill, "--tables", *tables]
    command += ["--parameters", *(f"{name}={value}" for name, value in options.parameters.items())]
    if options.threads:
        command += ["--threads", str(options.threads)]
    if options.memory_limit:
        command += ["--memory", str(size(options.memory_limit))]
    output, errors, code, _, peak = measure(command, os.environ, options.timeout)
    if code != 0 or not output.strip():
        return {"error": failure(errors, code), "peak": peak}
    result = json.loads(output.splitlines()[-1])
    result["rows"] = [[answers.from_json(value) for value in row] for row in result["rows"]]
    return {**result, "peak": peak}


def run(engine, options, query):
    spill = tempfile.mkdtemp(prefix="spill-", dir=options.spill_dir)
    try:
        return run_floe(options, query, spill) if engine == "floe" else run_peer(engine, options, query, spill)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def best(results):
    """The fastest run that succeeded, with the highest peak of all; else the last failure."""
    good = [result for result in results if "rows" in result]
    if not good:
        return results[-1]
    return {**min(good, key=lambda result: result["seconds"]), "peak": max(result["peak"] for result in good)}


def whole(result):
    return f"  whole {result['whole']:.2f}s" if "whole" in result else ""


def compare(name, engines, options):
    """Runs one query on each engine in alternation and prints one line for each; the results, and whether they agree."""
    query = options.query_dir / f"{name}.sql"
    runs = {engine: [] for engine in engines}
    for _ in range(options.runs):
        for engine in engines:
            runs[engine].append(run(engine, options, query))
    results = {engine: best(runs[engine]) for engine in engines}
    peer_times = [result["seconds"] for engine, result in results.items() if engine != "floe" and "rows" in result]
    # A peer rather than floe, so that what differs is floe's.
    reference = next((results[engine]["rows"] for engine in [*PEERS, "floe"] if "rows" in results.get(engine, {})), None)
    agree = True
    for engine, result in results.items():
        if "error" in result:
            print(f"{name:<12} {engine:<11} {'failed':>9} {result['peak'] / 1e6:>9.0f} MB  {result['error'][:90]}")
            agree = agree and engine != "floe"
            continue
        differences = [answers.difference(one["rows"], reference) for one in runs[engine] if "rows" in one]
        different = next((difference for difference in differences if difference), None)
        ratio = f"{result['seconds'] / min(peer_times):.2f}" if peer_times else "-"
        verdict = f"  ANSWER DIFFERS: {different}" if different else ""
        agree = agree and not (different and engine == "floe")
        print(f"{name:<12} {engine:<11} {result['seconds']:>8.2f}s {result['peak'] / 1e6:>9.0f} MB {ratio:>7}{whole(result)}{verdict}")
        if options.show_rows:
            print(f"             {result['rows'][:3]}")
    sys.stdout.flush()
    return results, agree


def print_totals(all_results, engines):
    """Each engine's time over what it finished, and floe's beside it over what both finished."""
    print(f"\n{'total':<12} {'engine':<11} {'time':>9} {'peak':>12}  finished   floe on the same, ratio, worst query")
    for engine in engines:
        done = {name: results for name, results in all_results.items() if "rows" in results[engine]}
        if not done:
            continue
        seconds = sum(results[engine]["seconds"] for results in done.values())
        peak = max(results[engine]["peak"] for results in done.values())
        line = f"{'':<12} {engine:<11} {seconds:>8.2f}s {peak / 1e6:>9.0f} MB  {len(done):>3} of {len(all_results):<3}"
        both = {name: results for name, results in done.items() if "rows" in results.get("floe", {})}
        if engine != "floe" and both:
            ours = sum(results["floe"]["seconds"] for results in both.values())
            theirs = sum(results[engine]["seconds"] for results in both.values())
            ratios = {name: one["floe"]["seconds"] / one[engine]["seconds"] for name, one in both.items()}
            worst = max(ratios, key=ratios.get)
            line += f"  {ours:.2f}s  {ours / theirs:.2f}  {worst} {ratios[worst]:.2f}"
        print(line)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PACKAGE / "target"))
    parser.add_argument("--suite", choices=SUITES, default="single")
    parser.add_argument("--scale", type=float, default=1, help="scale factor of the suite's data")
    parser.add_argument("--data", type=pathlib.Path, help="directory of the tables [default: data/[tpcds-]sf<scale> here]")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / "venv", help="venv that has or will get the peers")
    parser.add_argument("--floe", type=pathlib.Path, default=target / "release" / "floe", help="the program")
    parser.add_argument("--file-format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--engines", nargs="+", default=["floe", *PEERS], choices=["floe", *PEERS])
    parser.add_argument("--queries", nargs="+", help="some of the suite's, e.g. q01 q06")
    parser.add_argument("--query-dir", type=pathlib.Path, help="where the texts are [default: queries here]")
    parser.add_argument("--memory-limit", help="e.g. 1GB; for DuckDB, Polars and DataFusion as far as they have one")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=3, help="rounds of alternation; the fastest counts")
    parser.add_argument("--timeout", type=float, default=900, help="seconds before a run is killed")
    parser.add_argument("--spill-dir", type=pathlib.Path, help="where the engines may write [default: the system's]")
    parser.add_argument("--show-rows", action="store_true", help="also print the first rows of each answer")
    return parser.parse_args()


def prepare(options):
    """Fills in what the options leave open: tables, queries, the parameters of their texts."""
    options.scale = int(options.scale) if options.scale == int(options.scale) else options.scale
    options.python = prepare_venv(options.venv)
    # The fraction of TPC-H's Q11.
    options.parameters = {"fraction": f"{0.0001 / options.scale:.10f}"}
    names, queries = SUITES[options.suite]
    options.queries = options.queries or queries
    if options.suite == "tpcds":
        options.tables = prepare_tpcds(options.data or HERE / "data" / f"tpcds-sf{options.scale}", options.python, options.scale)
        options.query_dir = options.query_dir or prepare_tpcds_queries(HERE / "data" / "tpcds-queries", options.python)
    elif options.suite == "csv":
        options.tables = prepare_csv(options.data or HERE / "data" / f"csv-sf{options.scale}", options.venv, options.scale)
        options.query_dir = options.query_dir or HERE / "queries" / "scans"
    elif options.suite == "json":
        options.tables = prepare_events(options.data or HERE / "data" / "events", options.python)
        options.query_dir = options.query_dir or HERE / "queries" / "json"
    else:
        data = options.data or HERE / "data" / f"sf{options.scale}"
        options.tables = prepare_tpch(data, options.venv, options.scale, names, options.file_format)
        options.query_dir = options.query_dir or HERE / "queries" / {"tpch": "tpch", "parquet": "scans"}.get(options.suite, "")


def main():
    options = parse()
    prepare(options)
    engines = options.engines
    if "floe" in engines and not options.floe.exists():
        print(f"floe is left out: {options.floe} is not there (cargo build --release)", file=sys.stderr)
        engines = [engine for engine in engines if engine != "floe"]
    print(f"memory limit {options.memory_limit or 'none'}, threads {options.threads or 'all'}, runs {options.runs}")
    print(f"{'query':<12} {'engine':<11} {'time':>9} {'peak':>12} {'ratio':>7}")
    compared = {name: compare(name, engines, options) for name in options.queries}
    print_totals({name: results for name, (results, _) in compared.items()}, engines)
    return 0 if all(agree for _, agree in compared.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
