"""Runs SQLite statements on a database in memory and sends the last one's rows. Follows plain.py; stands where
candidate.py and tests.py do for programs.

SQL has no way out of SQLite but ATTACH, some pragmas and extensions: the authorizer refuses those, and the sandbox has
nothing behind them.
"""
import sqlite3

refused = {
    value
    for name in ("ATTACH", "DETACH")
    for value in [getattr(sqlite3, "SQLITE_" + name, None)]
    if value is not None
}
max_rows = 200_000


def authorize(action, first, second, database, trigger):
    if action in refused:
        return sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_PRAGMA and first.lower() in ("temp_store_directory", "data_store_directory", "writable_schema"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def statements(text):
    """Splits at the semicolons that end statements, not at those in strings and triggers."""
    start = 0
    for at, character in enumerate(text):
        if character == ";" and sqlite3.complete_statement(text[start : at + 1]):
            yield text[start : at + 1]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def run_query(request):
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(request["setup"])
    except sqlite3.Error as error:
        return {"setupError": str(error)}
    connection.set_authorizer(authorize)
    rows, columns = [], []
    for statement in statements(request["query"]):
        cursor = connection.execute(statement)
        if cursor.description is not None:
            columns = [column[0] for column in cursor.description]
            rows = cursor.fetchmany(max_rows)
            if len(rows) == max_rows:
                raise sqlite3.DataError("more than %d rows" % max_rows)
    return {"rows": Encoder().encode(rows), "columns": columns}


def handle(line):
    request = json.loads(line)
    try:
        return json.dumps(run_query(request))
    except Exception as error:
        return json.dumps({"error": "%s: %s" % (type(error).__name__, error)})
