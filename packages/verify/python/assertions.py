"""Runs tests in a namespace and says how they ended: beside the candidate, or in an interpreter of their own.
Follows plain.py.
"""

tests_name = "<tests>"


def failing_line(error, tests):
    import traceback  # Only here: it costs a quarter of the interpreter's start.
    lines = tests.splitlines()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == tests_name]
    if not frames or not 0 < frames[-1].lineno <= len(lines):
        return None
    return {"line": frames[-1].lineno, "text": lines[frames[-1].lineno - 1].strip()[:500]}


def run_here(spec, namespace, crossed=()):
    """Runs tests in a namespace and says how they ended. Imports that fail and syntax errors are the tests' own, what
    the candidate's functions raised (`crossed`) is the candidate's."""
    tests = spec["tests"]
    try:
        exec(compile(tests, tests_name, "exec", dont_inherit=True), namespace)
    except Exception as error:
        for other, response in crossed:
            if other is error:
                candidate = {key: response[key] for key in ("text", "line", "module")}
                return {"outcome": "fail", "at": failing_line(error, tests), "candidate": candidate}
        return verdict_of(error, tests)
    except SystemExit:
        return {"outcome": "broken", "error": "the tests call exit"}
    return {"outcome": "pass"}


def verdict_of(error, tests):
    at = failing_line(error, tests)
    if isinstance(error, AssertionError):
        return {"outcome": "fail", "error": str(error)[:500], "at": at, "assertion": True}
    text = "%s: %.500s" % (type(error).__name__, error)
    if isinstance(error, ImportError):
        return {"outcome": "broken", "error": text, "module": error.name}
    if isinstance(error, SyntaxError) and at is None:
        return {"outcome": "broken", "error": "%s, in the tests" % text}
    return {"outcome": "fail", "error": text, "at": at}
