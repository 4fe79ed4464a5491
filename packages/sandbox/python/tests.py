"""The tests' side: runs trusted tests against stand-ins for the candidate's functions and objects. Follows plain.py,
assertions.py, reading.py.

A stand-in asks the candidate's interpreter, and what it returns is rebuilt by Decoder: so `==` in a test is Python's own.
An object that is not plain data stays over there and has a stand-in too, which gives the tests' data to nobody: what
takes no operand (length, truth, text, attributes that the tests spell, calls without arguments) is asked over there; an
operator, an item, a method with arguments is not, and no object equals anything but itself. Arguments cross in calls that the
text makes of the candidate on purpose: of its names, of what those return when it is called itself, of methods of instances
that the tests made (reading.py). Tests that need more run beside the candidate.
"""
import ast
import builtins
import time
from collections import deque


class Objects(BaseException):
    """These tests need the candidate's objects themselves."""


class Closed(BaseException):
    """The candidate's interpreter is gone, or was told to go."""


class Left:
    """What a candidate raised that means something to the tests' own loops and assertions comes as another class: none of
    them takes it for theirs. Where the text expects it of the candidate, it expects this class too."""

    kinds = {
        name: type("Candidate" + name, (base,), {})
        for name, base in {
            "StopIteration": RuntimeError,  # As of a generator that lets one out (PEP 479).
            "StopAsyncIteration": RuntimeError,
            "AssertionError": Exception,
            "GeneratorExit": BaseException,
            "KeyboardInterrupt": BaseException,
            "SystemExit": BaseException,
        }.items()
    }


def expect_departures(tree, left):
    """`except StopIteration` becomes `except (StopIteration, <what comes for it>)` where the text means the candidate's."""

    class Expect(ast.NodeTransformer):
        def visit_Name(self, node):
            return replacement(node) if node in left else node

        def visit_Tuple(self, node):
            parts = [name for part in node.elts for name in ([part, came(part)] if part in left else [self.visit(part)])]
            return ast.copy_location(ast.Tuple(parts, node.ctx), node)

    def came(node):
        return ast.copy_location(ast.Name("_left_" + left[node], ast.Load()), node)

    def replacement(node):
        return ast.copy_location(ast.Tuple([node, came(node)], ast.Load()), node)

    return ast.fix_missing_locations(Expect().visit(tree))


class Wall:
    """The way to the candidate's interpreter: `ask` takes and gives one line of JSON."""

    def __init__(self, ask):
        self.ask = ask
        self.calls = 0
        self.asked = 0
        self.crossed = []  # exceptions that came from the candidate
        self.needs_objects = None
        self.closed = None
        self.met = None  # the type of an object that was not plain data where the tests needed that
        self.reading = None
        self.stand_ins = {}
        self.exceptions = {}

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

    def operate(self, operation, target, *args, trust=None, **kwargs):
        encoder = Encoder(refer=self.refer)
        try:
            on, arguments, named = encoder.encode(target), encoder.encode(args), encoder.encode(kwargs)
        except TooDeep as error:
            raise RecursionError(str(error)) from None
        except NotPlain as error:
            self.needs_objects = "the tests pass %s" % error
            raise Objects(self.needs_objects) from None
        self.asked += 1
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
                return self.trusted(value, trust)
        except (Malformed, KeyError, TypeError, ValueError, RecursionError) as problem:
            self.closed = "the candidate's program sent what is no answer: %s" % problem
            raise Closed(self.closed) from None
        self.crossed.append((error, response))
        raise error

    def trusted(self, value, trust):
        """The object itself, not those in it."""
        return self.resolve(value._number_, "", value._type_, trust) if trust and isinstance(value, StandIn) else value

    def take(self, target, count, seconds):
        """The next items of an iterator over there: `count`, or as many as take `seconds`, and one at least; then the
        exception that ended it, if one did."""
        begun = time.monotonic()
        response = self.request({"op": "take", "on": self.refer(target), "count": count, "seconds": seconds})
        try:
            items = [Decoder(resolve=self.resolve).decode(item) for item in response.get("items", ())]
            end = response.get("end")
            if end is None and len(items) != count and (not items or time.monotonic() - begun < seconds):
                raise Malformed("%d of %d items" % (len(items), count))
            if end is None or end == "StopIteration":
                return items, end and StopIteration()
            error = self.error_of(end)
        except (Malformed, KeyError, TypeError, ValueError, AttributeError, RecursionError) as problem:
            self.closed = "the candidate's program sent what is no answer: %s" % problem
            raise Closed(self.closed) from None
        self.crossed.append((error, end))
        return items, error

    def refer(self, value):
        if isinstance(value, StandIn):
            return ["o", object.__getattribute__(value, "_number_"), "", ""]
        for number, kind in self.exceptions.items():
            if value is kind:
                return ["o", number, "", ""]
        raise NotPlain("a value of type %s" % type(value).__name__)

    def resolve(self, number, kind, name, trust=None):
        if type(number) is not int or type(name) is not str:
            raise Malformed("no object")
        if kind == "exception":
            if number not in self.exceptions:
                self.exceptions[number] = type(name if name.isidentifier() else "error", (Exception,), {})
            return self.exceptions[number]
        if (number, trust) not in self.stand_ins:
            self.stand_ins[number, trust] = StandIn(self, number, name, trust)
        return self.stand_ins[number, trust]

    def error_of(self, response):
        kind = self.exceptions.get(response["number"])
        if kind is None:
            # The closest built-in exception, rebuilt here: a test may catch it.
            kinds = [getattr(builtins, name, None) for name in response["kinds"]]
            kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseException)]
            kind = kinds[0] if kinds else Exception
            control = [name for name in Left.kinds if any(issubclass(kind, getattr(builtins, name)) for kind in kinds)]
            expected = set(self.reading.left.values()) if self.reading else set()
            if not issubclass(kind, Exception) and not (control and control[0] in expected):
                self.closed = "the candidate's program left with %s" % response["text"][:200]
                self.crossed.append((None, response))
                raise Closed(self.closed)
            if control:
                kind = Left.kinds[control[0]]
        try:
            args = Decoder().decode(response["args"])
            error = kind(*args) if type(args) is tuple else kind(response["text"])
        except Malformed:
            raise
        except Exception:
            error = kind.__new__(kind)
        return error


# A loop over an iterator of the candidate's takes so many items at once, or for so long, twice as long each time: where the tests stop
# is not seen over there.
block = 1000
block_seconds = 0.05


class StandIn:
    """An object of the candidate's, seen from the tests. Its trust: "name" for what the tests call by name, "class" for a
    class of which they make instances, "instance" for one of those, "method" for what was found on anything else."""

    __slots__ = ("_wall_", "_number_", "_type_", "_trust_", "_ahead_", "_end_", "_blocks_")

    def __init__(self, wall, number, name, trust):
        set_here = object.__setattr__
        set_here(self, "_wall_", wall)
        set_here(self, "_number_", number)
        set_here(self, "_type_", name)
        set_here(self, "_trust_", trust)
        set_here(self, "_ahead_", None)
        set_here(self, "_end_", None)
        set_here(self, "_blocks_", 0)

    def _refuse_(self, what):
        self._wall_.met = self._type_
        raise TypeError("%s of an object of the candidate's (%s)" % (what, self._type_))

    def __getattr__(self, name):
        if name not in self._wall_.reading.attributes:
            raise AttributeError(name)
        inherited = {"name": "name", "class": "class", "instance": "name"}
        return self._wall_.operate("getattr", self, name, trust=inherited.get(self._trust_, "method"))

    def __setattr__(self, name, value):
        self._refuse_("an attribute")

    def __call__(self, *args, **kwargs):
        given = args or kwargs
        if given and (self._trust_ == "method" or self._trust_ is None and not self._wall_.reading.calls_results):
            self._refuse_("a call")
        return self._wall_.operate("call", self, *args, trust="instance" if self._trust_ == "class" else None, **kwargs)

    def __iter__(self):
        if self._ahead_ is not None:
            return self
        iterator = self._wall_.operate("iter", self)
        # A list that the candidate answers with has an iterator of its own; a stand-in is one.
        if not isinstance(iterator, StandIn):
            return iter(iterator)
        if iterator._ahead_ is None:
            object.__setattr__(iterator, "_ahead_", deque())
        return iterator

    def __next__(self):
        if not self._ahead_ and self._end_ is None:
            if self._ahead_ is None:
                items, end = self._wall_.take(self, 1, 0)  # next(), spelled by the tests: one is made.
            else:
                items, end = self._wall_.take(self, block, block_seconds * 2**self._blocks_)
                object.__setattr__(self, "_blocks_", self._blocks_ + 1)
            object.__setattr__(self, "_end_", end)
            if self._ahead_ is None and items:
                return items[0]
            if items:
                self._ahead_.extend(items)
        if self._ahead_:
            return self._ahead_.popleft()
        end = self._end_
        object.__setattr__(self, "_end_", StopIteration())
        raise end

    def _is_(self, other):
        self._wall_.met = self._type_
        return isinstance(other, StandIn) and other._number_ == self._number_

    def __eq__(self, other):
        return self._is_(other)

    def __ne__(self, other):
        return not self._is_(other)

    def _order_(self, other):
        self._refuse_("the order")

    __lt__ = __le__ = __gt__ = __ge__ = _order_

    def __hash__(self):
        return hash(self._number_)

    def __format__(self, form):
        return str(self) if form == "" else self._refuse_("a format")

    def __getitem__(self, key):
        # All of a sequence crosses, and which item was meant stays here.
        return self._wall_.operate("sequence", self)[key] if isinstance(key, (int, slice)) else self._refuse_("an item")

    def __instancecheck__(self, instance):
        self._refuse_("an instance")

    def __subclasscheck__(self, subclass):
        self._refuse_("a subclass")


def forward(name, expected):
    def method(self):
        value = self._wall_.operate(name, self)
        if type(value) not in expected and expected:
            raise TypeError("%s of an object of the candidate's gave %s" % (name, type(value).__name__))
        return value

    return method


for operation, expected in {
    "bool": [bool], "len": [int], "str": [str], "repr": [str], "int": [int], "float": [float], "index": [int],
    "neg": [], "pos": [], "abs": [],
}.items():
    setattr(StandIn, "__%s__" % operation, forward(operation, expected))


def stand_ins_for(wall, reading):
    """The candidate's names; then what the tests forgot to import, which no name of the candidate's hides."""
    namespace = {}
    if reading.names:
        response = wall.request({"op": "names", "names": reading.names})
        for name, found in response["names"].items():
            if type(found) is dict and name in reading.names:
                value = Decoder(resolve=wall.resolve).decode(found["value"])
                namespace[name] = wall.trusted(value, "class" if name in reading.classes else "name")
    return {**namespace, **helpers_of(reading.helpers)}


def run_tests(line, ask):
    spec = json.loads(line)
    wall = Wall(ask)
    namespace = {"__name__": "__main__", "__builtins__": builtins}
    namespace.update({"_left_" + name: kind for name, kind in Left.kinds.items()})
    problem = run_preamble(spec["preamble"], namespace) if spec.get("preamble") else None
    if problem:
        return json.dumps({"outcome": "broken", "error": problem})
    entry = spec.get("entryPoint")
    if entry:
        namespace.pop(entry, None)
    try:
        wall.reading = reading = Reading(ast.parse(spec["tests"]), namespace, entry)
        helpers_of(reading.helpers)
    except (SyntaxError, BrokenTests, RecursionError) as error:
        where = "SyntaxError in the tests: " if isinstance(error, SyntaxError) else ""
        return json.dumps({"outcome": "broken", "error": "%s%s" % (where, error)})
    beside = {"beside": {"names": reading.names, "helpers": reading.helpers}}
    if reading.objects:
        return json.dumps({"outcome": "objects", "error": reading.objects, **beside})
    try:
        namespace.update(stand_ins_for(wall, reading))
        result = run_here(spec["tests"], expect_departures(reading.tree, reading.left), namespace, wall.crossed)
    except (Objects, Closed):
        result = {}
    except (Malformed, KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        wall.closed = "the candidate's program sent what is no answer: %s" % error
        result = {}
    # Flags, not exceptions, decide: a bare `except:` in the tests may have caught one.
    if wall.closed:
        result = {"outcome": "closed", "error": wall.closed}
    elif wall.needs_objects:
        result = {"outcome": "objects", "error": wall.needs_objects, **beside}
    if result.get("outcome") == "closed" and wall.crossed:
        last = wall.crossed[-1][1]
        result["candidate"] = {key: last[key] for key in ("text", "line", "module")}
    if result.get("outcome") == "pass" and wall.stand_ins and not wall.asked:
        result = {"outcome": "broken", "error": "nothing in them called the program"}
    if wall.met and result.get("outcome") == "fail":
        result["object"] = wall.met
    result["calls"] = wall.calls
    return json.dumps(result)
