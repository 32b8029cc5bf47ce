"""Fills the last column of examples.tsv: what DuckDB answers to every example, and its type.

Run it from the root of the repository after an example was added (needs `pip install duckdb`):
`python3 tests/functions/expect.py`. Rows are joined by a bar, columns by a comma.
"""

import sys

import duckdb

PATH = "tests/functions/examples.tsv"


def answer(connection, example):
    query = example if example.startswith("SELECT") else f"SELECT {example}"
    try:
        relation = connection.sql(query)
        types = ", ".join(str(kind) for kind in relation.types)
        columns = ", ".join(f"c{number}" for number in range(len(relation.columns)))
        texts = ", ".join(f"CAST(c{number} AS VARCHAR)" for number in range(len(relation.columns)))
        rows = connection.sql(f"SELECT {texts} FROM ({query}) AS q({columns})").fetchall()
    except duckdb.Error as error:
        return "ERROR", str(error).splitlines()[0]
    cells = [", ".join("NULL" if cell is None else cell for cell in row) for row in rows]
    return types, " | ".join(cells).replace("\n", "\\n").replace("\t", "\\t")


def main():
    connection = duckdb.connect()
    connection.sql("SET TimeZone = 'UTC'")
    with open(PATH, newline="") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    with open(PATH, "w") as file:
        for family, name, example, *_ in lines:
            types, text = answer(connection, example) if family != "family" else ("type", "answer")
            if types == "ERROR":
                print(name, example, text, file=sys.stderr)
            file.write("\t".join([family, name, example, types, text]) + "\n")


if __name__ == "__main__":
    main()
