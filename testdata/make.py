"""Makes the files of this folder from the full nycflights13 tables.

    python make.py SOURCE

SOURCE holds airlines, airports, flights, planes and weather as `<name>.csv.gz` (the CC0 package nycflights13 0.0.3).
Flights and weather keep two whole days of every month, so that every hour of a kept day joins; `NA` becomes empty
everywhere but in planes.csv, which stays as it was published. Needs pyarrow. The same source gives the same bytes.
"""

import csv
import gzip
import io
import json
import pathlib
import sys

import pyarrow
import pyarrow.csv
import pyarrow.parquet

HERE = pathlib.Path(__file__).resolve().parent
DAYS = {"1", "16"}
TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}
ROW_GROUP_ROWS = 600


def read(source, name):
    """The header and the rows of one table, as text."""
    with gzip.open(source / f"{name}.csv.gz", "rt", newline="") as file:
        rows = list(csv.reader(file))
    return rows[0], rows[1:]


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_json_lines(path, header, rows):
    """One object a line; numbers as numbers, missing values as null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    for row in rows:
        record = {}
        for name, value in zip(header, row):
            record[name] = None if value == "" else value if name in TEXT else int(value)
        text.write(json.dumps(record, separators=(",", ":")) + "\n")
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.getvalue().encode())


def write_parquet(path, csv_path):
    """The rows of a CSV file without the columns that the folder names say, in several row groups."""
    types = {"time_hour": pyarrow.timestamp("us", "UTC")}
    convert = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    table = pyarrow.csv.read_csv(csv_path, convert_options=convert).drop_columns(["year", "month"])
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(table, path, row_group_size=ROW_GROUP_ROWS, compression="zstd", compression_level=9)


def without_na(rows):
    return [["" if value == "NA" else value for value in row] for row in rows]


def main(source):
    header, rows = read(source, "flights")
    day = header.index("day")
    month = header.index("month")
    rows = without_na(row for row in rows if row[day] in DAYS)
    flights = HERE / "flights"
    for number in range(1, 13):
        slice_ = [row for row in rows if int(row[month]) == number]
        csv_path = flights / "csv" / f"2013-{number:02}.csv"
        write_csv(csv_path, header, slice_)
        write_json_lines(flights / "json" / f"2013-{number:02}.json.gz", header, slice_)
        write_parquet(flights / "parquet" / "year=2013" / f"month={number}" / "flights.parquet", csv_path)

    header, rows = read(source, "weather")
    day = header.index("day")
    write_csv(HERE / "weather.csv", header, without_na(row for row in rows if row[day] in DAYS))
    for name in ["airlines", "airports"]:
        header, rows = read(source, name)
        write_csv(HERE / f"{name}.csv", header, without_na(rows))
    write_csv(HERE / "planes.csv", *read(source, "planes"))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
