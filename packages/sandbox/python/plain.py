"""Plain data as JSON, for values that cross between the candidate's interpreter and the tests'.

JSON's null, true, false, strings and small integers stand for themselves; everything else is [tag, ...]:
  I int as hex   f float   c complex   b bytes   y bytearray   l list   t tuple   s set   z frozenset   d dict
  r range   F Fraction   D Decimal   q deque   R an earlier mutable container   M a container the other side sent, with
  its content now   o an object that stays where it is: number, kind, type's name

Mutable containers are numbered in the order in which they open, on both sides alike, so that sharing, cycles and
changes in place survive. What comes out of decode has exactly these types, never a subclass: equality, order, hash
and truth of a decoded value are the built-in ones whatever the other side did to its own.
"""
import json

small = 1 << 53
max_depth = 200


class NotPlain(Exception):
    """A value that cannot cross."""


class TooDeep(NotPlain):
    pass


class Malformed(Exception):
    """The other side said something that no encoder says."""


class Encoder:
    def __init__(self, known=(), refer=None):
        self.known = list(known)  # mutable containers that the other side sent
        self.position = {id(value): i for i, value in enumerate(self.known)}
        self.written = set()
        self.opened = []  # keeps them alive: a number is an id
        self.refer = refer
        self.depth = 0

    def encode(self, value):
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind is str:
            return value
        if kind is int:
            return value if -small < value < small else ["I", hex(value)]
        if kind is float:
            return ["f", repr(value)]
        if self.depth >= max_depth:
            raise TooDeep("a value nested deeper than %d" % max_depth)
        self.depth += 1
        try:
            return self.compound(value, kind)
        finally:
            self.depth -= 1

    def compound(self, value, kind):
        if issubclass(kind, (list, dict, set, bytearray)) or kind.__name__ == "deque" and kind.__module__ == "collections":
            return self.container(value, kind)
        if kind is complex:
            return ["c", repr(value.real), repr(value.imag)]
        if issubclass(kind, tuple):
            return ["t", [self.encode(item) for item in tuple.__iter__(value)]]
        if issubclass(kind, bytes):
            return ["b", bytes.hex(value)]
        if issubclass(kind, frozenset):
            return ["z", [self.encode(item) for item in frozenset.__iter__(value)]]
        if kind is range:
            return ["r", self.encode(value.start), self.encode(value.stop), self.encode(value.step)]
        # Subclasses of plain types (enumerations, numpy's float64, named tuples above) cross as what they extend.
        if issubclass(kind, str):
            return str.__str__(value)
        if issubclass(kind, int):
            return self.encode(int.__index__(value))
        if issubclass(kind, float):
            return self.encode(float.__float__(value))
        if kind.__name__ == "Fraction" and kind.__module__ == "fractions":
            return ["F", self.encode(value.numerator), self.encode(value.denominator)]
        if kind.__name__ == "Decimal" and kind.__module__ == "decimal":
            return ["D", str(value)]
        if kind.__module__ == "numpy" and hasattr(kind, "item") and not hasattr(kind, "__len__"):
            return self.encode(value.item())
        if self.refer is not None:
            return self.refer(value)
        raise NotPlain("a value of type %s" % kind.__name__)

    def container(self, value, kind):
        at = self.position.get(id(value))
        if at is not None and (at >= len(self.known) or at in self.written):
            return ["R", at]
        if at is None:
            self.position[id(value)] = len(self.known) + len(self.opened)
            self.opened.append(value)
            return self.content(value, kind)
        self.written.add(at)
        return ["M", at, self.content(value, kind)]

    def content(self, value, kind):
        if issubclass(kind, dict):
            return ["d", [[self.encode(k), self.encode(v)] for k, v in dict.items(value)]]
        if issubclass(kind, list):
            return ["l", [self.encode(item) for item in list.__iter__(value)]]
        if issubclass(kind, set):
            return ["s", [self.encode(item) for item in set.__iter__(value)]]
        if issubclass(kind, bytearray):
            return ["y", bytes(value).hex()]
        return ["q", [self.encode(item) for item in value], value.maxlen]

    def changes(self):
        """What the containers hold now that the other side sent, those not yet written."""
        return [self.encode(value) for i, value in enumerate(self.known) if i not in self.written]


class Decoder:
    def __init__(self, known=(), resolve=None):
        self.known = list(known)
        self.resolve = resolve

    def decode(self, code):
        if code is None or code is True or code is False or type(code) is str:
            return code
        if type(code) is int:
            return code
        if type(code) is not list or not code or type(code[0]) is not str:
            raise Malformed("no plain data: %.80r" % (code,))
        try:
            return self.tagged(code[0], code[1:])
        except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError) as error:
            raise Malformed("%.80r: %s" % (code, error))

    def tagged(self, tag, rest):
        if tag in ("l", "s", "d", "y", "q"):
            value = kind_of(tag)(maxlen=rest[1]) if tag == "q" else kind_of(tag)()
            self.known.append(value)
            self.fill(value, tag, rest)
            return value
        if tag == "R":
            return self.known[self.number(rest[0])]
        if tag == "M":
            value = self.known[self.number(rest[0])]
            inner = rest[1]
            self.fill(value, inner[0], inner[1:])
            return value
        if tag == "I":
            return int(rest[0], 16)
        if tag == "f":
            return float(rest[0])
        if tag == "c":
            return complex(float(rest[0]), float(rest[1]))
        if tag == "b":
            return bytes.fromhex(rest[0])
        if tag == "t":
            return tuple([self.decode(item) for item in rest[0]])
        if tag == "z":
            return frozenset([self.decode(item) for item in rest[0]])
        if tag == "r":
            return range(*[self.decode(item) for item in rest])
        if tag == "F":
            from fractions import Fraction
            return Fraction(self.decode(rest[0]), self.decode(rest[1]))
        if tag == "D":
            from decimal import Decimal
            return Decimal(rest[0])
        if tag == "o" and self.resolve is not None:
            return self.resolve(*rest)
        raise Malformed("unknown tag %.20r" % tag)

    def number(self, at):
        if type(at) is not int or not 0 <= at < len(self.known):
            raise Malformed("no container of number %.20r" % (at,))
        return at

    def fill(self, value, tag, rest):
        if type(value) is not kind_of(tag):
            raise Malformed("a container changed its type")
        if tag == "d":
            items = [(self.decode(k), self.decode(v)) for k, v in rest[0]]
            value.clear()
            value.update(items)
        elif tag == "y":
            value[:] = bytes.fromhex(rest[0])
        else:
            items = [self.decode(item) for item in rest[0]]
            value.clear()
            value.update(items) if tag == "s" else value.extend(items)


def kind_of(tag):
    if tag == "q":
        from collections import deque
        return deque
    return {"l": list, "s": set, "d": dict, "y": bytearray}.get(tag)
