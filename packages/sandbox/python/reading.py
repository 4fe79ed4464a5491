"""Reads the tests' text, before the candidate's program is asked for anything: which names are the candidate's, which the
standard library's, and whether the tests can do without live objects of the candidate's. Nothing that the candidate does
changes what is decided here.

Expressions have kinds: "name" a function of the candidate's by its name, "class" a name that looks like a class,
"instance" what calling one gives, "member" an attribute of an instance, "result" whatever else a call gives: plain data
where the tests mean plain data; "part" an attribute of a result. None: the tests' own. A variable has one kind
wherever it stands, which is rough, and errs towards running tests beside the candidate.
"""
import ast
import builtins
import re
import sys
from collections import deque
from decimal import Decimal
from fractions import Fraction

plain_attributes = {
    name
    for kind in (str, int, float, complex, bytes, bytearray, list, tuple, dict, set, frozenset, range, deque, Fraction, Decimal)
    for name in dir(kind)
}
# What tests use of the standard library and forget to import.
library = {
    name: module
    for module, names in {
        "math": "isclose isnan isinf isfinite sqrt floor ceil trunc fabs fsum hypot dist log log2 log10 exp gcd lcm prod comb perm factorial pi e tau inf nan",
        "collections": "Counter OrderedDict defaultdict deque namedtuple ChainMap",
        "collections.abc": "Callable Generator Hashable Iterable Iterator Mapping Sequence",
        "itertools": "accumulate chain combinations count cycle groupby islice pairwise permutations product repeat starmap takewhile zip_longest",
        "functools": "cmp_to_key lru_cache partial reduce",
        "copy": "copy deepcopy",
        "fractions": "Fraction",
        "decimal": "Decimal",
        "datetime": "date datetime time timedelta timezone",
        "statistics": "mean median mode stdev pstdev variance",
        "string": "ascii_letters ascii_lowercase ascii_uppercase digits punctuation",
        "typing": "Any Dict FrozenSet List NamedTuple Optional Set Tuple Type Union",
        "unittest": "TestCase",
    }.items()
    for name in names.split()
}
constants = set("pi e tau inf nan ascii_letters ascii_lowercase ascii_uppercase digits punctuation".split())
aliases = {"np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "sp": "scipy", "tf": "tensorflow", "nx": "networkx"}
others = {"numpy", "pandas", "scipy", "sympy", "torch", "sklearn", "networkx", "pytest", "requests", "matplotlib", "tensorflow"}
harness = re.compile(r"(?i)^(assert|expect|should)")  # Judges, whoever defines them.
class_like = re.compile(r"^_?[A-Z][A-Za-z0-9]*$")
passing_on = set("iter next reversed list tuple sorted map filter zip enumerate max min set dict sum abs copy deepcopy".split())
binary_builtins = {"round", "pow", "divmod", "format"}
ordering_builtins = {"sorted", "sum", "min", "max", "set", "frozenset"}
truth_asserts = {"assertTrue", "assertFalse", "assertIsNone", "assertIsNotNone", "assertRaises", "assertRaisesRegex"}
# Exceptions that mean something to the tests' own loops and assertions: see Left in tests.py.
control = ("StopIteration", "StopAsyncIteration", "GeneratorExit", "KeyboardInterrupt", "SystemExit", "AssertionError")


data_nodes = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp, ast.expr_context, ast.unaryop)


class Reading:
    def __init__(self, tree, defined, entry=None):
        self.tree = tree
        self.entry = entry
        self.nodes = []
        self.parents = {}
        self.literals = set()
        self.gather(tree)
        self.functions = {node.name: node for node in self.nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        self.kinds = {}
        self.helpers = {}
        free = self.free_names(set(defined) - {entry})
        self.names = self.resolve(free)
        self.classes = {name for name in self.names if class_like.match(name)}
        self.follow()
        self.attributes = self.attribute_names()
        self.left = self.expected_departures()
        self.calls_results = any(self.calls_result(node) for node in self.nodes)
        self.objects = self.why_objects()

    def gather(self, node):
        """All nodes but data, which may be most of the tests; says whether this one is data."""
        children = list(ast.iter_child_nodes(node))
        if all([self.gather(child) for child in children]) and isinstance(node, data_nodes):
            self.literals.add(node)
            return True
        self.nodes.append(node)
        self.parents.update((child, node) for child in children)
        return False

    # Names

    def free_names(self, defined):
        """Names that the tests use and do not make, in order, each with the nodes where they stand."""
        used, bound = {}, set(defined)
        for node in self.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.setdefault(node.id, []).append(node)
            elif isinstance(node, ast.Name):
                bound.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                bound.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
                if node.names[0].name == "*" and node.module in sys.stdlib_module_names:
                    bound.update(helpers_of({"*": (node.module, "__dict__")})["*"])
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
            elif isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name:
                bound.add(node.name)
            elif isinstance(node, ast.MatchMapping) and node.rest:
                bound.add(node.rest)
        free = {name: nodes for name, nodes in used.items() if name not in bound and not hasattr(builtins, name)}
        if self.entry:
            free.setdefault(self.entry, used.get(self.entry, []))
        return dict(sorted(free.items()))

    def resolve(self, free):
        """The candidate's names among the free ones; the standard library's become helpers."""
        unknown = {name: nodes for name, nodes in free.items() if name != self.entry}
        theirs = {self.entry} if self.entry else set()
        exported = {}
        for name, nodes in unknown.items():
            if all(isinstance(self.parents[node], ast.Attribute) for node in nodes):
                module = aliases.get(name, name)
                if module in others or module in aliases.values() or module in sys.stdlib_module_names:
                    self.helpers[name] = (module, None)
                    continue
            if harness.match(name):
                raise BrokenTests("they use %s, which they do not define" % name)
            if name in library:
                exported[name] = nodes
            else:
                theirs.add(name)
        called = {name for name in exported if any(self.is_called(node) for node in unknown[name])}
        if not theirs:
            theirs, called = called or set(exported), set()
        # A function of the library stands beside the candidate's in a statement (isclose(f(1), 2.5)); one that the
        # candidate was to write (gcd) is tested on its own.
        self.names = sorted(theirs)
        self.classes = {name for name in theirs if class_like.match(name)}
        self.follow()
        for name, nodes in exported.items():
            if name in theirs:
                continue
            together = any(self.holds_candidate(self.statement_of(node), node) for node in nodes)
            if together if name in called else name in constants or self.is_annotation(nodes):
                self.helpers[name] = (library[name], name)
            else:
                theirs.add(name)
        self.kinds = {}
        return sorted(theirs)

    def is_called(self, node):
        parent = self.parents[node]
        return isinstance(parent, ast.Call) and parent.func is node

    def is_annotation(self, nodes):
        return all(isinstance(self.parents[node], (ast.Subscript, ast.arg, ast.AnnAssign, ast.FunctionDef)) for node in nodes)

    def statement_of(self, node):
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def holds_candidate(self, statement, apart):
        inner = {node for node in ast.walk(statement) if node is not apart}
        return any(isinstance(node, ast.Name) and self.kind(node) is not None for node in inner)

    # Kinds

    def follow(self):
        """What variables hold, until nothing changes."""
        for _ in range(10):
            before = dict(self.kinds)
            for node in self.nodes:
                self.follow_one(node)
            if self.kinds == before:
                return

    def follow_one(self, node):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self.bind(target, self.kind(node.value), node.value)
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
            self.bind(node.target, self.kind(node.value))
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            self.bind(node.target, self.kind(node.iter) and "result")
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self.bind(node.optional_vars, self.kind(node.context_expr))
        elif isinstance(node, ast.Return) and node.value is not None:
            function = node
            while function is not None and not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                function = self.parents.get(function)
            if function is not None:
                self.learn(function.name + "()", self.kind(node.value))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.functions:
            parameters = self.functions[node.func.id].args
            for parameter, argument in zip(parameters.posonlyargs + parameters.args, node.args):
                self.learn(parameter.arg, self.kind(argument))
            for keyword in node.keywords:
                if keyword.arg:
                    self.learn(keyword.arg, self.kind(keyword.value))

    def bind(self, target, kind, value=None):
        if isinstance(target, ast.Name):
            self.learn(target.id, kind)
        elif isinstance(target, ast.Attribute):
            self.learn("." + target.attr, kind)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, kind)
        elif isinstance(target, (ast.Tuple, ast.List)):
            values = value.elts if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts) else None
            for i, inner in enumerate(target.elts):
                self.bind(inner, self.kind(values[i]) if values else kind and "result", values[i] if values else None)

    def learn(self, name, kind):
        if kind is not None:
            known = self.kinds.get(name)
            self.kinds[name] = kind if known in (None, kind) else "result"

    def kind(self, node):
        if node in self.literals:
            return None
        if isinstance(node, ast.Name):
            if node.id in self.names:
                return "class" if node.id in self.classes else "name"
            if node.id in self.functions and self.kinds.get(node.id + "()"):
                return "name"
            return self.kinds.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self.kind(node.value)
            if base in ("name", "class"):
                return base
            return {None: self.kinds.get("." + node.attr), "instance": "member"}.get(base, "part")
        if isinstance(node, ast.Call):
            called = self.kind(node.func)
            if called is not None:
                return "instance" if called == "class" else "result"
            name = node.func.id if isinstance(node.func, ast.Name) else None
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name) and node.func.value.id in ("copy", "itertools"):
                name = "copy"
            return self.any_of(node.args) if name in passing_on else None
        if isinstance(node, (ast.Subscript, ast.Starred, ast.Await)):
            inner = self.kind(node.value)
            return inner if isinstance(node, ast.Starred) else inner and "result"
        if isinstance(node, ast.NamedExpr):
            return self.kind(node.value)
        if isinstance(node, ast.IfExp):
            return self.kind(node.body) or self.kind(node.orelse)
        if isinstance(node, ast.BoolOp):
            return next(filter(None, map(self.kind, node.values)), None)
        if isinstance(node, ast.BinOp):
            return self.any_of([node.left, node.right])
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self.any_of(node.elts)
        if isinstance(node, ast.Dict):
            return self.any_of(node.values)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self.any_of([node.elt])
        if isinstance(node, ast.DictComp):
            return self.any_of([node.value])
        if isinstance(node, ast.Lambda):
            return self.kind(node.body) and "name"
        return None

    def any_of(self, nodes):
        return "result" if any(map(self.kind, nodes)) else None

    # What crosses

    def attribute_names(self):
        """Names of attributes that the text spells: no other is ever asked of a candidate's object."""
        names = {node.attr for node in self.nodes if isinstance(node, ast.Attribute)}
        for node in self.nodes:
            if isinstance(node, ast.Call) and self.callee(node) in ("getattr", "hasattr", "attrgetter", "methodcaller"):
                names.update(part.value for part in node.args if isinstance(part, ast.Constant) and isinstance(part.value, str))
        return names

    def callee(self, call):
        return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", None)

    def expected_departures(self):
        """Where the text expects one of `control` of the candidate: the nodes that name it."""
        found = {}
        for node in self.nodes:
            if isinstance(node, ast.Try):
                for handler in node.handlers:
                    self.note_departures(found, handler.type, node.body)
            elif isinstance(node, ast.Call) and "raises" in (self.callee(node) or "").lower() and node.args:
                item = self.parents[node]
                body = self.parents[item].body if isinstance(item, ast.withitem) else node.args[1:]
                self.note_departures(found, node.args[0], body)
        return found

    def note_departures(self, found, node, body):
        inner = [part for top in body for part in ast.walk(top)]
        own = any(
            isinstance(part, ast.Assert)
            or isinstance(part, ast.Call) and (harness.match(self.callee(part) or "") or self.callee(part) in self.functions)
            or isinstance(part, ast.Attribute) and harness.match(part.attr)
            or isinstance(part, ast.Name) and part.id in self.functions
            for part in inner
        )
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            # An assertion that stands in the body is the tests' own: theirs is what the handler is for.
            if isinstance(part, ast.Name) and part.id in control and not (own and part.id == "AssertionError"):
                found[part] = part.id

    def calls_result(self, node):
        """The text calls what the candidate returned, or hands it to what calls it."""
        if not isinstance(node, ast.Call):
            return False
        called = [node.func, *(keyword.value for keyword in node.keywords if keyword.arg == "key")]
        if self.callee(node) in ("map", "filter", "reduce"):
            called += node.args[:1]
        return any(self.kind(part) in ("result", "instance") for part in called)

    # Objects

    def why_objects(self):
        """Why the tests cannot do without live objects of the candidate's, or None."""
        evident = any(self.shows_objects(node) for node in self.nodes)
        for node in self.nodes:
            reason = self.needs_objects(node, evident)
            if reason:
                return "line %d of the tests %s" % (node.lineno, reason)
        return None

    def shows_objects(self, node):
        """The text means an object: a class called without arguments, an attribute that no plain data has."""
        if isinstance(node, ast.Call):
            return self.kind(node.func) == "class" and not node.args and not node.keywords
        if isinstance(node, ast.Attribute):
            return self.kind(node.value) in ("instance", "member", "result", "part") and node.attr not in plain_attributes
        return isinstance(node, ast.Compare) and sum(self.is_instance(part) for part in [node.left, *node.comparators]) > 1

    def is_instance(self, node):
        return self.kind(node) == "instance"

    def needs_objects(self, node, evident):
        if isinstance(node, ast.Call):
            return self.call_needs_objects(node, evident)
        if isinstance(node, ast.ClassDef):
            return "extends a class of the candidate's" if any(self.kind(base) in ("name", "class") for base in node.bases) else None
        if isinstance(node, ast.MatchClass):
            return "matches a class of the candidate's" if self.kind(node.cls) else None
        if isinstance(node, ast.Compare):
            return self.comparison_needs_objects(node, evident)
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            held = self.kind(node.value)
            if held in ("instance", "class") or isinstance(node, ast.Attribute) and held:
                return "changes an object of the candidate's"
        if isinstance(node, (ast.With, ast.AsyncWith)) and any(self.kind(item.context_expr) for item in node.items):
            return "enters an object of the candidate's"
        if not evident:
            return None
        if isinstance(node, ast.BinOp) and (self.is_instance(node.left) or self.is_instance(node.right)):
            return "uses operators of a class of the candidate's"
        if isinstance(node, ast.AugAssign) and self.is_instance(node.target):
            return "uses operators of a class of the candidate's"
        if isinstance(node, ast.Subscript) and self.is_instance(node.value):
            return "takes items of an object of the candidate's"
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None and self.is_instance(node.value):
            return "formats an object of the candidate's"
        if isinstance(node, (ast.Set, ast.Dict)) and any(map(self.is_instance, node.elts if isinstance(node, ast.Set) else filter(None, node.keys))):
            return "hashes objects of the candidate's"
        return None

    def call_needs_objects(self, node, evident):
        name = self.callee(node)
        by_name = isinstance(node.func, ast.Name)
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        if by_name and name in ("isinstance", "issubclass") and len(node.args) == 2:
            wanted = node.args[1].elts if isinstance(node.args[1], ast.Tuple) else [node.args[1]]
            if any(self.kind(part) in ("name", "class") for part in wanted):
                return "asks for instances of a class of the candidate's"
        if by_name and evident and any(map(self.is_instance, arguments)):
            if name in binary_builtins and len(arguments) > 1:
                return "uses operators of a class of the candidate's"
        if by_name and evident and name in ordering_builtins and any(self.holds_instance(part) for part in arguments):
            return "orders or hashes objects of the candidate's"
        if isinstance(node.func, ast.Attribute) and self.kind(node.func) in (None, "result") and harness.match(name):
            if name not in truth_asserts and any(self.is_instance(part) and evident or self.kind(part) == "class" for part in arguments):
                return "compares objects of the candidate's"
        if not isinstance(node.func, ast.Attribute) or not arguments:
            return None
        held = self.kind(node.func.value)
        plain = node.func.attr in plain_attributes
        if held in ("result", "member", "part") and (not plain or isinstance(self.parents[node], ast.Expr)):
            return "gives data to a method (%s) of what the candidate returned" % name
        if held == "instance":
            if plain and not evident:
                return "gives data to a method (%s) of a class of the candidate's" % name
            if any(map(self.is_instance, arguments)) and self.is_truth(node):
                return "has objects of the candidate's judge each other"
        return None

    def holds_instance(self, node):
        return self.is_instance(node) or isinstance(node, (ast.List, ast.Tuple, ast.Set)) and any(map(self.is_instance, node.elts))

    def is_truth(self, node):
        parent = self.parents[node]
        if isinstance(parent, ast.UnaryOp):
            return self.is_truth(parent)
        return isinstance(parent, (ast.Assert, ast.BoolOp, ast.If)) or isinstance(parent, ast.Call) and self.callee(parent) in truth_asserts

    def comparison_needs_objects(self, node, evident):
        parts = [node.left, *node.comparators]
        instances = sum(map(self.is_instance, parts))
        same = any(isinstance(operator, (ast.Is, ast.IsNot)) for operator in node.ops)
        live = [part for part in parts if self.kind(part) in ("instance", "class") or self.kind(part) and isinstance(part, ast.Call)]
        if instances > 1 or same and len(live) > 1:
            return "compares two objects of the candidate's"
        if any(isinstance(part, ast.Call) and self.callee(part) == "type" for part in parts) and any(self.kind(part) in ("name", "class") for part in parts):
            return "asks for the class of an object of the candidate's"
        if not evident or not instances:
            return None
        for i, operator in enumerate(node.ops):
            if isinstance(operator, (ast.In, ast.NotIn)) and self.is_instance(parts[i + 1]):
                return "looks into an object of the candidate's"
            if isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE)):
                return "orders objects of the candidate's"
            if isinstance(operator, (ast.Eq, ast.NotEq)) and not isinstance(parts[i], ast.Constant) and not isinstance(parts[i + 1], ast.Constant):
                return "compares objects of the candidate's"
        return None
