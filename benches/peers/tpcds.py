"""Makes the tables of TPC-DS as Parquet files: the generator of benches/data/tpcds, typed and written by DuckDB.

    python tpcds.py DIRECTORY [--scale 1]

Needs cargo, and the `duckdb` of the venv of run.py. Tables that are there already are left alone.
"""

import argparse
import pathlib
import re
import subprocess

import duckdb

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "data" / "tpcds"
# The types of the specification by the name's end; what none of them names is text. First match counts.
TYPES = [
    (r"_sk|ticket_number|order_number|catalog_number|catalog_page_number", "INTEGER"),
    (r"d_date|_rec_(start|end)_date", "DATE"),
    (r"gmt_offset|tax_p(er|re)centage", "DECIMAL(5,2)"),
    (r"p_cost", "DECIMAL(15,2)"),
    (r"_(price|cost|amt|amount|tax|paid|paid_inc_ship|profit|fee|cash|charge|(store|account)_credit|net_loss)", "DECIMAL(7,2)"),
    (r"_quantity|inv_quantity_on_hand|employees|floor_space|_sq_ft|_count|purchase_estimate|response_target|_bound", "INTEGER"),
    (r"(mkt|market|company|division|brand|class|category|manufact|manager)_id|cc_(division|company)", "INTEGER"),
    (r"_birth_(day|month|year)|t_(time|hour|minute|second)", "INTEGER"),
    (r"d_(\w+_seq|year|dow|moy|dom|qoy|fy_year|first_dom|last_dom|same_day_l[yq])", "INTEGER"),
]


def column_type(name):
    return next((kind for pattern, kind in TYPES if re.search(rf"(?:{pattern})$", name)), "VARCHAR")


def generator():
    """The command that writes one table, built when needed."""
    command = ["cargo", "build", "--release", "--quiet", "--message-format=json-render-diagnostics"]
    built = subprocess.run(command, cwd=PACKAGE, check=True, capture_output=True, text=True).stdout
    return re.findall(r'"executable":"([^"]+)"', built)[-1]


def make_table(program, table, scale, path):
    text = path.with_suffix(".csv")
    with open(text, "wb") as file:
        subprocess.run([program, table, str(scale)], check=True, stdout=file)
    with open(text, encoding="utf-8") as file:
        columns = {name: column_type(name) for name in file.readline().rstrip("\n").split(",")}
    duckdb.connect().execute(
        f"COPY (FROM read_csv('{text}', header = true, columns = {columns}))"
        f" TO '{path}' (FORMAT parquet, COMPRESSION snappy)"
    )
    text.unlink()


def make(directory, scale):
    """The path of each table, made where it is not there yet."""
    directory.mkdir(parents=True, exist_ok=True)
    program = generator()
    names = subprocess.run([program], check=True, capture_output=True, text=True).stdout.split()
    tables = {name: (directory / f"{name}.parquet").resolve() for name in names}
    for name, path in tables.items():
        if not path.exists():
            make_table(program, name, scale, path)
    return tables


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--scale", type=float, default=1)
    arguments = parser.parse_args()
    make(arguments.directory, arguments.scale)


if __name__ == "__main__":
    main()
