"""Answers as rows of Python values, and whether two engines gave the same: text, integers and DECIMAL exactly, floats
up to a tolerance.

An exact number is an `int` or a `Decimal`, an inexact one a `float`; a column that is inexact on either side is
compared with the tolerance. Rows are compared as a multiset unless the order was promised to be total.
"""

import collections
import datetime
import decimal
import math

RELATIVE_TOLERANCE = 1e-9
# Averages and quotients of DECIMAL are cut after this many digits where an engine keeps them as DECIMAL and another
# does not; what is computed from them has no more.
CUT_TOLERANCE = 1e-6
# Past this many rows that differ in floats only, pairs are sought in sorted order alone.
PAIRED = 500


def from_floe(answer):
    """The rows of one line of the program's `json-compact`, typed by the columns' types."""
    read = [reader(column["type"]) for column in answer["columns"]]
    return [[None if value is None else convert(value) for convert, value in zip(read, row)] for row in answer["rows"]]


def reader(kind):
    if kind.startswith("DECIMAL") or kind.endswith("INT") or kind.endswith("INTEGER"):
        return decimal.Decimal
    if kind in ("DOUBLE", "FLOAT", "REAL"):
        return float
    return lambda value: value if isinstance(value, bool) else str(value)


def plain(value):
    """A value of a Python client as this module compares it."""
    if value is None or isinstance(value, (bool, int, float, str, decimal.Decimal)):
        return value
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join("NULL" if one is None else str(plain(one)) for one in value) + "]"
    return str(value)


def to_json(value):
    """A plain value for JSON, from which `from_json` has it back."""
    value = plain(value)
    return {"decimal": str(value)} if isinstance(value, decimal.Decimal) else value


def from_json(value):
    return decimal.Decimal(value["decimal"]) if isinstance(value, dict) else value


def is_number(value):
    return isinstance(value, (int, float, decimal.Decimal)) and not isinstance(value, bool)


def digit(value):
    """The last digit that a DECIMAL has; a quotient may be cut there."""
    exponent = value.as_tuple().exponent if isinstance(value, decimal.Decimal) else None
    return 10.0**exponent if isinstance(exponent, int) and exponent < 0 else 0.0


def same_value(left, right, exact=False):
    if not (is_number(left) and is_number(right)):
        return type(left) is type(right) and left == right
    if not isinstance(left, float) and not isinstance(right, float):
        return left == right
    a, b = float(left), float(right)
    if exact or not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (math.isnan(a) and math.isnan(b))
    relative = RELATIVE_TOLERANCE if isinstance(left, float) and isinstance(right, float) else CUT_TOLERANCE
    return math.isclose(a, b, rel_tol=relative, abs_tol=max(CUT_TOLERANCE, digit(left), digit(right)))


def same_row(left, right):
    return len(left) == len(right) and all(same_value(a, b) for a, b in zip(left, right))


def canonical(value):
    """Equal for equal exact values."""
    if is_number(value):
        number = decimal.Decimal(value)
        return ("number", str(number.normalize() + 0) if number.is_finite() else str(number))
    return (type(value).__name__, value)


def sort_key(value):
    return (1, 0.0) if value is None else (0, float(value)) if is_number(value) else (2, str(value))


def pair_off(left, right):
    """Whether the rows of both lists can be paired so that each pair is the same."""
    order = lambda row: [sort_key(value) for value in row]
    left, right = sorted(left, key=order), sorted(right, key=order)
    if all(same_row(a, b) for a, b in zip(left, right)):
        return True
    if len(left) > PAIRED:
        return False
    for row in left:
        twin = next((index for index, other in enumerate(right) if same_row(row, other)), None)
        if twin is None:
            return False
        del right[twin]
    return True


def difference(left, right, ordered=False):
    """What is different between two answers in one line; None when they are the same."""
    if len(left) != len(right):
        return f"{len(left)} rows against {len(right)}{sample(left, right)}"
    if not left:
        return None
    if len(left[0]) != len(right[0]):
        return f"{len(left[0])} columns against {len(right[0])}"
    if ordered:
        first = next((index for index, pair in enumerate(zip(left, right)) if not same_row(*pair)), None)
        return None if first is None else f"row {first}: {show(left[first])} against {show(right[first])}"
    inexact = {
        column
        for row in (*left, *right)
        for column, value in enumerate(row)
        if isinstance(value, float)
    }
    groups = [collections.defaultdict(list), collections.defaultdict(list)]
    for rows, grouped in zip((left, right), groups):
        for row in rows:
            key = tuple(None if column in inexact else canonical(value) for column, value in enumerate(row))
            grouped[key].append(row)
    for key, rows in groups[0].items():
        others = groups[1].get(key, [])
        if len(rows) != len(others) or not pair_off(rows, others):
            return f"{show(rows[0])} ×{len(rows)} against {show(others[0]) if others else 'nothing'} ×{len(others)}"
    return None


def sample(left, right):
    """A row that only one of two answers has, for a person to look at."""
    exact = lambda row: tuple(canonical(value) for value in row)
    counts = collections.Counter(map(exact, left))
    counts.subtract(map(exact, right))
    lone = next(((row, count) for row, count in counts.items() if count), None)
    return "" if lone is None else f", e.g. {show([value for _, value in lone[0]])} {lone[1]:+d}"


def show(row):
    return "(" + ", ".join(str(value)[:60] for value in row) + ")"
