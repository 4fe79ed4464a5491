"""The tests' side: runs trusted tests against stand-ins for the candidate's functions and objects. Follows plain.py.

A stand-in asks the candidate's interpreter, and what it returns is rebuilt by Decoder: so `==` in a test is Python's own.
An object that is not plain data stays over there and has a stand-in too. Its attributes, items and calls cross one by
one; but whether it equals something is never asked of it: it does not, unless it is the same object.
"""
import ast
import builtins
import sys


class Objects(BaseException):
    """These tests need the candidate's objects themselves."""


class Closed(BaseException):
    """The candidate's interpreter is gone, or was told to go."""


class Wall:
    """The way to the candidate's interpreter: `ask` takes and gives one line of JSON."""

    def __init__(self, ask):
        self.ask = ask
        self.calls = 0
        self.crossed = []  # exceptions that came from the candidate
        self.needs_objects = None
        self.closed = None
        self.compared = None
        self.stand_ins = {}
        self.exceptions = {}

    def stop_for_objects(self, reason):
        self.needs_objects = reason
        raise Objects(reason)

    def request(self, message):
        line = self.ask(json.dumps(message))
        if not line:
            self.closed = "the candidate's program ended"
            raise Closed(self.closed)
        try:
            response = json.loads(line)
        except (ValueError, RecursionError):
            response = None
        if type(response) is not dict:
            self.closed = "the candidate's program sent what is no answer"
            raise Closed(self.closed)
        return response

    def operate(self, operation, target, *args, **kwargs):
        encoder = Encoder(refer=self.refer)
        try:
            on, arguments, named = encoder.encode(target), encoder.encode(args), encoder.encode(kwargs)
        except NotPlain as error:
            self.stop_for_objects("the tests pass %s" % error)
        if operation == "call":
            self.calls += 1
        response = self.request({"op": "operate", "do": operation, "on": on, "args": arguments, "kwargs": named})
        try:
            if "raised" in response:
                error = self.error_of(response)
            else:
                decoder = Decoder(encoder.opened, self.resolve)
                value = decoder.decode(response["value"])
                for change in response["changes"]:
                    decoder.decode(change)
                return value
        except (Malformed, KeyError, TypeError, ValueError, RecursionError) as problem:
            self.closed = "the candidate's program sent what is no answer: %s" % problem
            raise Closed(self.closed) from None
        self.crossed.append((error, response))
        raise error

    def refer(self, value):
        if isinstance(value, StandIn):
            return ["o", object.__getattribute__(value, "_number"), "", ""]
        for number, kind in self.exceptions.items():
            if value is kind:
                return ["o", number, "", ""]
        raise NotPlain("a value of type %s" % type(value).__name__)

    def resolve(self, number, kind, name):
        if type(number) is not int or type(name) is not str:
            raise Malformed("no object")
        if kind == "exception":
            if number not in self.exceptions:
                self.exceptions[number] = type(name if name.isidentifier() else "error", (Exception,), {})
            return self.exceptions[number]
        if number not in self.stand_ins:
            self.stand_ins[number] = StandIn(self, number, name)
        return self.stand_ins[number]

    def error_of(self, response):
        kind = self.exceptions.get(response["number"])
        if kind is None:
            # The closest built-in exception, rebuilt here: a test may catch it.
            kinds = [getattr(builtins, name, None) for name in response["kinds"]]
            kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseException)]
            kind = kinds[0] if kinds else Exception
            if not issubclass(kind, Exception):
                self.closed = "the candidate's program left with %s" % response["text"][:200]
                self.crossed.append((None, response))
                raise Closed(self.closed)
        try:
            args = Decoder().decode(response["args"])
            error = kind(*args) if type(args) is tuple else kind(response["text"])
        except Malformed:
            raise
        except Exception:
            error = kind.__new__(kind)
        return error


class StandIn:
    """An object of the candidate's, seen from the tests."""

    def __init__(self, wall, number, name):
        set_here = object.__setattr__
        set_here(self, "_wall", wall)
        set_here(self, "_number", number)
        set_here(self, "_name", name)

    def __getattr__(self, name):
        return self._wall.operate("getattr", self, name)

    def __setattr__(self, name, value):
        self._wall.operate("setattr", self, name, value)

    def __call__(self, *args, **kwargs):
        return self._wall.operate("call", self, *args, **kwargs)

    def __iter__(self):
        iterator = self._wall.operate("iter", self)
        # A list that the candidate answers with has an iterator of its own; a stand-in is one.
        return iterator if isinstance(iterator, StandIn) else iter(iterator)

    def __next__(self):
        return self._wall.operate("next", self)

    def _compare(self, other, equal):
        if isinstance(other, StandIn) and other is not self:
            self._wall.stop_for_objects("the tests compare two objects of the candidate's")
        self._wall.compared = self._name
        return equal is (other is self)

    def __eq__(self, other):
        return self._compare(other, True)

    def __ne__(self, other):
        return self._compare(other, False)

    def _order(self, other):
        if isinstance(other, StandIn):
            self._wall.stop_for_objects("the tests compare two objects of the candidate's")
        self._wall.compared = self._name
        raise TypeError("an object of the candidate's (%s) has no order" % self._name)

    __lt__ = __le__ = __gt__ = __ge__ = _order

    def __hash__(self):
        return id(self)

    def __instancecheck__(self, instance):
        self._wall.stop_for_objects("the tests ask for instances of a class of the candidate's")

    def __subclasscheck__(self, subclass):
        self._wall.stop_for_objects("the tests ask for subclasses of a class of the candidate's")

    def __mro_entries__(self, bases):
        self._wall.stop_for_objects("the tests extend a class of the candidate's")


def forward(name):
    def method(self, *args):
        value = self._wall.operate(name, self, *args)
        expected = {"bool": bool, "len": int, "str": str, "repr": str, "int": int, "float": float, "index": int, "format": str}
        if name in expected and type(value) is not expected[name]:
            raise TypeError("%s of an object of the candidate's gave %s" % (name, type(value).__name__))
        return value

    return method


for operation in (
    "bool len str repr int float index format getitem setitem delitem contains add sub mul truediv floordiv mod pow neg pos abs"
).split():
    setattr(StandIn, "__%s__" % operation, forward(operation))


def free_names(tree, defined):
    """Names that the tests use and do not make: what they expect of the candidate's program."""
    used, bound = set(), set(defined)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return sorted(name for name in used - bound if not hasattr(builtins, name))


def import_here(name, attribute=None):
    """A module of the standard library by the name the candidate's program used, or None."""
    if not isinstance(name, str) or name.split(".")[0] not in sys.stdlib_module_names:
        return None
    try:
        __import__(name)
        value = sys.modules[name]
        return value if attribute is None else getattr(value, attribute)
    except Exception:
        return None


def stand_ins_for(wall, names):
    namespace = {}
    if not names:
        return namespace
    response = wall.request({"op": "names", "names": names})
    for name, found in response["names"].items():
        own = import_here(name)
        if type(found) is not dict or name not in names:
            continue
        if own is not None and "module" in found:
            namespace[name] = own
        elif "module" in found:
            value = import_here(found["module"], found.get("attribute"))
            if value is not None:
                namespace[name] = value
        else:
            namespace[name] = Decoder(resolve=wall.resolve).decode(found["value"])
    return namespace


def run_tests(line, ask):
    spec = json.loads(line)
    wall = Wall(ask)
    namespace = {"__name__": "tests", "__builtins__": builtins}
    entry = spec.get("entryPoint")
    preamble = spec.get("preamble")
    if preamble:
        problem = run_preamble(preamble, namespace)
        if problem:
            return json.dumps({"outcome": "broken", "error": problem})
    if entry:
        namespace.pop(entry, None)
    try:
        tree = ast.parse(spec["tests"])
    except SyntaxError as error:
        return json.dumps({"outcome": "broken", "error": "SyntaxError in the tests: %s" % error})
    names = free_names(tree, namespace)
    if entry and entry not in names:
        names.append(entry)
    own = None
    try:
        namespace.update(stand_ins_for(wall, names))
        result = run_here(spec, namespace, wall.crossed)
    except Objects:
        result = {}
    except Closed as closed:
        own = str(closed)
        result = {}
    except (Malformed, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        wall.closed = "the candidate's program sent what is no answer: %s" % error
        result = {}
    # Flags, not exceptions, decide: a bare `except:` in the tests may have caught one.
    if wall.closed or own:
        result = {"outcome": "closed", "error": wall.closed or own}
    elif wall.needs_objects:
        result = {"outcome": "objects", "error": wall.needs_objects}
    if result.get("outcome") == "closed" and wall.crossed:
        last = wall.crossed[-1][1]
        result["candidate"] = {key: last[key] for key in ("text", "line", "module")}
    if wall.compared and result.get("outcome") == "fail":
        result["object"] = wall.compared
    result["calls"] = wall.calls
    return json.dumps(result)


def run_preamble(preamble, namespace):
    """HumanEval's prompts end in a function without a body but for its docstring, which is one. Where it has none, the
    last definition is left out."""
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
