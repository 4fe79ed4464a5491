"""Runs tests in a namespace and says how they ended: beside the candidate, or in an interpreter of their own.
Follows plain.py.
"""

import importlib

tests_name = "<tests>"


class BrokenTests(Exception):
    """The tests rely on something that is neither theirs nor the candidate's to define."""


def helpers_of(helpers):
    """What the tests use of modules that they do not import: by name, module and attribute."""
    found = {}
    for name, (module, attribute) in helpers.items():
        try:
            value = importlib.import_module(module)
        except Exception as error:
            raise BrokenTests("they use %s: %s: %s" % (name, type(error).__name__, error))
        found[name] = getattr(value, attribute) if attribute else value
    return found


def failing_line(error, tests):
    import traceback  # Only here: it costs a quarter of the interpreter's start.
    lines = tests.splitlines()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == tests_name]
    if not frames or not 0 < frames[-1].lineno <= len(lines):
        return None
    return {"line": frames[-1].lineno, "text": lines[frames[-1].lineno - 1].strip()[:500]}


def run_here(tests, tree, namespace, crossed=()):
    """Runs tests in a namespace and says how they ended. Imports that fail and syntax errors are the tests' own, what
    the candidate's functions raised (`crossed`) is the candidate's."""
    try:
        if "unittest" in tests:
            import unittest
            unittest.main = lambda *args, **kwargs: None  # Its cases run below.
        exec(compile(tree, tests_name, "exec", dont_inherit=True), namespace)
        run_cases(namespace)
        run_functions(namespace, tests)
    except Exception as error:
        for other, response in crossed:
            if other is error:
                candidate = {key: response[key] for key in ("text", "line", "module")}
                return {"outcome": "fail", "at": failing_line(error, tests), "candidate": candidate}
        return verdict_of(error, tests)
    except SystemExit:
        return {"outcome": "broken", "error": "the tests call exit"}
    return {"outcome": "pass"}


def run_cases(namespace):
    """Runs unittest's cases, which nothing else would; raises what the first that did not pass raised."""
    import sys
    unittest = sys.modules.get("unittest")
    case = getattr(unittest, "TestCase", None)
    if case is None:
        return
    own = [value for value in namespace.values() if isinstance(value, type) and issubclass(value, case)]
    errors = []

    class Result(unittest.TestResult):
        def addError(self, test, error):
            errors.append(error[1])

        addFailure = addError

        def addSubTest(self, test, part, error):
            if error is not None:
                errors.append(error[1])

        def addUnexpectedSuccess(self, test):
            errors.append(AssertionError("%s passed, which was not expected" % test))

    for one in own:
        if one.__module__ == namespace["__name__"]:
            unittest.defaultTestLoader.loadTestsFromTestCase(one).run(Result())
            if errors:
                raise errors[0]


def run_functions(namespace, tests):
    """Runs pytest's functions and classes, those that the tests only define and that need no fixture."""
    import re
    for name, value in list(namespace.items()):
        if not name.lower().startswith("test") or len(re.findall(r"\b%s\b" % re.escape(name), tests)) != 1:
            continue
        if is_of_tests(value):
            value()
        elif isinstance(value, type) and value.__module__ == namespace["__name__"] and "run" not in dir(value):
            for key in [key for key in vars(value) if key.startswith("test")]:
                one = value()
                getattr(one, "setup_method", lambda: None)()
                if is_of_tests(getattr(one, key), 1):
                    getattr(one, key)()


def is_of_tests(function, bound=0):
    code = getattr(function, "__code__", None)
    if code is None or code.co_filename != tests_name:
        return False
    return code.co_argcount - len(function.__defaults__ or ()) == bound


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


def run_preamble(preamble, namespace):
    """HumanEval's prompts end in a function without a body but for its docstring, which is one. Where it has none, the
    last definition is left out."""
    import ast
    try:
        tree = ast.parse(preamble)
    except SyntaxError:
        lines = preamble.splitlines()
        tops = [i for i, text in enumerate(lines) if text.startswith(("def ", "class ", "async def "))]
        try:
            tree = ast.parse("\n".join(lines[: tops[-1]] if tops else []))
        except SyntaxError as error:
            return "SyntaxError in the preamble: %s" % error
    try:
        exec(compile(tree, "<preamble>", "exec", dont_inherit=True), namespace)
    except Exception as error:
        return "the preamble raised %s: %s" % (type(error).__name__, error)
    return None
