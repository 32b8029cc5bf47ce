"""Writes answers.tsv: what DuckDB answers to every form of forms.sql, its columns' names first.

Run it from the root of the repository after a form was added (needs `pip install duckdb pyarrow`):
`python3 tests/statements/expect.py`. Rows are joined by a bar, columns by a comma.
"""

import sys
import tempfile

import duckdb

FORMS = "tests/statements/forms.sql"
ANSWERS = "tests/statements/answers.tsv"


def forms():
    """What comes before every form, and family, form and text of each."""
    setup, found = [], []
    with open(FORMS) as file:
        for line in file:
            if line.startswith("-- ") and ": " in line:
                found.append((*line[3:].strip().split(": ", 1), []))
            else:
                (found[-1][2] if found else setup).append(line)
    return "".join(setup), [(family, form, "".join(text)) for family, form, text in found]


def answer(setup, text, folder):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    try:
        connection.execute(setup)
        statements = duckdb.extract_statements(text.replace("{tmp}", folder))
        for statement in statements[:-1]:
            connection.execute(statement)
        rows = connection.execute(statements[-1])
        names = [column[0] for column in rows.description]
        found_rows = rows.to_arrow_table().rename_columns([f"c{number}" for number in range(len(names))])
        cells = ", ".join(f"CAST({name} AS VARCHAR)" for name in found_rows.column_names)
        found = connection.execute(f"SELECT {cells} FROM found_rows").fetchall() if found_rows.num_rows else []
    except Exception as error:
        return "ERROR", str(error).splitlines()[0]
    found = [", ".join("NULL" if cell is None else cell for cell in row) for row in found]
    escape = lambda text: text.replace("\n", "\\n").replace("\t", "\\t")
    return escape(", ".join(names)), escape(" | ".join(found))


def main():
    setup, found = forms()
    with open(ANSWERS, "w") as file, tempfile.TemporaryDirectory() as folder:
        file.write("family\tform\tcolumns\tanswer\n")
        for family, form, text in found:
            names, rows = answer(setup, text, folder)
            if names == "ERROR":
                print(family, form, rows, file=sys.stderr, sep=" | ")
            file.write("\t".join([family, form, names, rows]) + "\n")


if __name__ == "__main__":
    main()
