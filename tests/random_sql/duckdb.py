"""Runs the SQL of each line of standard input, a JSON string, in DuckDB. Prints the rows or the error as a line of JSON."""

import json
import sys

import duckdb


def cell(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


connection = duckdb.connect()
connection.execute("SET threads = 1")
for line in sys.stdin:
    try:
        rows = connection.execute(json.loads(line)).fetchall()
        reply = {"rows": [[cell(value) for value in row] for row in rows]}
    except duckdb.Error as error:
        reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)
