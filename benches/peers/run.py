"""floe beside DuckDB, Polars and DataFusion: the same query, the same file, the same limits, in alternation.

    cargo build --release && python3 benches/peers/run.py --scale 1 --memory-limit 1GB --threads 2

Makes a venv with the peers and the TPC-H data on first use (or takes those named by --venv and --data), runs each
query in a process of its own, checks that the answers agree and prints time, peak memory and the ratio to the fastest
peer. A peer's time is that of the query alone; floe's is that of the whole program. Needs Python 3.9 and a Unix.
"""

import argparse
import json
import math
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

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = HERE.parent.parent
PEERS = ["duckdb", "polars", "datafusion"]
REQUIREMENTS = ["duckdb==2.0.*", "polars==2.1.*", "datafusion==55.*", "tpchgen-cli"]
QUERIES = ["q1", "q6", "groups60m", "comments34m"]
TABLES = ["lineitem"]
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "B": 1}
RELATIVE_TOLERANCE = 1e-6
# DataFusion cuts the average of a decimal(15,2) after six digits.
ABSOLUTE_TOLERANCE = 1e-6


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


def prepare_data(directory, venv, scale, file_format):
    """The path of each table, made where it is not there yet."""
    directory.mkdir(parents=True, exist_ok=True)
    tables = {}
    for table in TABLES:
        path = directory / f"{table}.{file_format}"
        if not path.exists():
            print(f"making {path}", file=sys.stderr)
            command = [venv / "bin" / "tpchgen-cli", file_format, "-s", str(scale), f"--tables={table}"]
            subprocess.run([*command, f"--output-dir={directory}"], check=True)
        tables[table] = path.resolve()
    return tables


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
    text = string.Template(query.read_text()).substitute({name: f"'{path}'" for name, path in options.tables.items()})
    command = [options.floe, "--format", "json-compact", "--spill-dir", spill, "-c", text]
    if options.threads:
        command += ["--threads", str(options.threads)]
    if options.memory_limit:
        command += ["--memory-limit", options.memory_limit]
    output, errors, code, wall, peak = measure(command, os.environ, options.timeout)
    answer = json.loads(output) if output.strip() else {"error": {"message": errors or f"exit code {code}"}}
    if "error" in answer:
        return {"error": answer["error"]["message"], "peak": peak}
    return {"rows": answer["rows"], "seconds": wall, "peak": peak}


def failure(errors, code):
    """What a peer said last: the line that names its exception, else the last one, else how it ended."""
    lines = errors.strip().splitlines() or [f"killed by signal {-code}" if code < 0 else f"exit code {code}"]
    named = [line for line in lines if re.match(r"\S*(Error|Exception)\b", line)]
    return (named or lines)[-1]


def run_peer(engine, options, query, spill):
    tables = [f"{name}={path}" for name, path in options.tables.items()]
    command = [options.python, HERE / "engines.py", engine, "--query", query, "--spill", spill, "--tables", *tables]
    if options.threads:
        command += ["--threads", str(options.threads)]
    if options.memory_limit:
        command += ["--memory", str(size(options.memory_limit))]
    output, errors, code, _, peak = measure(command, os.environ, options.timeout)
    if code != 0 or not output.strip():
        return {"error": failure(errors, code), "peak": peak}
    return {**json.loads(output.splitlines()[-1]), "peak": peak}


def run(engine, options, query):
    spill = tempfile.mkdtemp(prefix="spill-", dir=options.spill_dir)
    try:
        return run_floe(options, query, spill) if engine == "floe" else run_peer(engine, options, query, spill)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def number(value):
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except ValueError:
        return None


def same_value(left, right):
    a, b = number(left), number(right)
    if a is None or b is None:
        return str(left) == str(right)
    return math.isclose(a, b, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)


def same_answer(left, right):
    """Whether the rows are the same whatever their order, numbers up to the tolerance."""

    def key(row):
        return [f"{number(value):.4e}" if number(value) is not None else str(value) for value in row]

    pairs = list(zip(sorted(left, key=key), sorted(right, key=key)))
    return len(left) == len(right) and all(
        len(a) == len(b) and all(same_value(x, y) for x, y in zip(a, b)) for a, b in pairs
    )


def best(results):
    """The fastest run that succeeded, with the highest peak of all; else the last failure."""
    good = [result for result in results if "rows" in result]
    if not good:
        return results[-1]
    return {**min(good, key=lambda result: result["seconds"]), "peak": max(result["peak"] for result in good)}


def compare(name, engines, options):
    """Runs one query on each engine in alternation and prints one line for each; whether the answers agree."""
    query = options.query_dir / f"{name}.sql"
    runs = {engine: [] for engine in engines}
    for _ in range(options.runs):
        for engine in engines:
            runs[engine].append(run(engine, options, query))
    results = {engine: best(runs[engine]) for engine in engines}
    peer_times = [result["seconds"] for engine, result in results.items() if engine != "floe" and "rows" in result]
    reference = next((result["rows"] for result in results.values() if "rows" in result), None)
    agree = True
    for engine, result in results.items():
        if "error" in result:
            print(f"{name:<12} {engine:<11} {'failed':>9} {result['peak'] / 1e6:>9.0f} MB  {result['error'][:90]}")
            agree = agree and engine != "floe"
            continue
        same = all(same_answer(reference, one["rows"]) for one in runs[engine] if "rows" in one)
        ratio = f"{result['seconds'] / min(peer_times):.2f}" if peer_times else "-"
        verdict = "" if same else "  ANSWER DIFFERS"
        agree = agree and same
        print(f"{name:<12} {engine:<11} {result['seconds']:>8.2f}s {result['peak'] / 1e6:>9.0f} MB {ratio:>7}{verdict}")
        if options.show_rows:
            print(f"             {result['rows'][:3]}")
    sys.stdout.flush()
    return agree


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PACKAGE / "target"))
    parser.add_argument("--scale", type=float, default=1, help="TPC-H scale factor")
    parser.add_argument("--data", type=pathlib.Path, help="directory of the tables [default: data/sf<scale> here]")
    parser.add_argument("--venv", type=pathlib.Path, default=HERE / "venv", help="venv that has or will get the peers")
    parser.add_argument("--floe", type=pathlib.Path, default=target / "release" / "floe", help="the program")
    parser.add_argument("--file-format", choices=["parquet", "csv"], default="parquet")
    parser.add_argument("--engines", nargs="+", default=["floe", *PEERS], choices=["floe", *PEERS])
    parser.add_argument("--queries", nargs="+", default=QUERIES)
    parser.add_argument("--query-dir", type=pathlib.Path, default=HERE / "queries")
    parser.add_argument("--memory-limit", help="e.g. 1GB; for DuckDB, Polars and DataFusion as far as they have one")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--runs", type=int, default=3, help="rounds of alternation; the fastest counts")
    parser.add_argument("--timeout", type=float, default=900, help="seconds before a run is killed")
    parser.add_argument("--spill-dir", type=pathlib.Path, help="where the engines may write [default: the system's]")
    parser.add_argument("--show-rows", action="store_true", help="also print the first rows of each answer")
    return parser.parse_args()


def main():
    options = parse()
    options.scale = int(options.scale) if options.scale == int(options.scale) else options.scale
    options.python = prepare_venv(options.venv)
    data = options.data or HERE / "data" / f"sf{options.scale}"
    options.tables = prepare_data(data, options.venv, options.scale, options.file_format)
    engines = options.engines
    if "floe" in engines and not options.floe.exists():
        print(f"floe is left out: {options.floe} is not there (cargo build --release)", file=sys.stderr)
        engines = [engine for engine in engines if engine != "floe"]
    print(f"memory limit {options.memory_limit or 'none'}, threads {options.threads or 'all'}, runs {options.runs}")
    print(f"{'query':<12} {'engine':<11} {'time':>9} {'peak':>12} {'ratio':>7}")
    verdicts = [compare(name, engines, options) for name in options.queries]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
