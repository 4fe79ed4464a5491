"""The candidate's side: holds its program, calls what the tests ask for, says what came. Follows plain.py, assertions.py.

Nothing here is secret and nothing here decides: whatever the candidate does to this interpreter, it can only change its
own answers. The one exception is `beside`, for tests that need the candidate's objects; its verdict is not sealed.
"""
import builtins
import operator
import sys
import time
import types

pristine = dict(builtins.__dict__)
source_name = "<candidate>"
module = types.ModuleType("candidate")
objects = []
numbers = {}

operations = {
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "getattr": getattr,
    "len": len,
    "iter": iter,
    "str": str,
    "repr": repr,
    "int": int,
    "float": float,
    "bool": bool,
    "neg": operator.neg,
    "pos": operator.pos,
    "abs": operator.abs,
    "index": operator.index,
    "sequence": lambda target: [target[at] for at in range(len(target))],
}


def refer(value):
    """An object that stays here: the other side gets its number."""
    if id(value) not in numbers:
        numbers[id(value)] = len(objects)
        objects.append(value)
    kind = "object"
    if isinstance(value, type):
        kind = "exception" if issubclass(value, BaseException) else "class"
    elif callable(value):
        kind = "callable"
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    return ["o", numbers[id(value)], kind, str(name)]


def raised(error):
    import traceback  # Only here: it costs a quarter of the interpreter's start.
    kinds = [kind.__name__ for kind in type(error).__mro__ if pristine.get(kind.__name__) is kind]
    try:
        arguments = Encoder().encode(tuple(error.args))
    except Exception:
        arguments = None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == source_name]
    line = frames[-1].lineno if frames else getattr(error, "lineno", None)
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    return {
        "raised": type(error).__name__,
        "kinds": kinds,
        "number": numbers.get(id(type(error))),
        "args": arguments,
        "text": text if len(text) <= 2000 else text[:1300] + " ... " + text[-700:],
        "line": line if type(line) is int else None,
        "module": getattr(error, "name", None) if isinstance(error, ImportError) else None,
    }


def load(source):
    module.__dict__["__builtins__"] = builtins
    sys.modules["candidate"] = module
    exec(compile(source, source_name, "exec", dont_inherit=True), module.__dict__)


def run_program(source):
    """A whole program, as python3 would run it: its exit code, and what it raised."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    response = {"exit": 0}
    try:
        exec(compile(source, source_name, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        response = {"exit": end.code if type(end.code) is int else 0 if end.code is None else 1}
    except BaseException as error:
        response = {"exit": 1, **raised(error)}
    try:
        sys.stdout.flush()
    except Exception:
        pass
    return response


def look_up(name):
    """A global by its name, or a method by the path `Class.method`: of an instance made without arguments."""
    if name.split(".")[0] not in module.__dict__:
        return None
    value = module.__dict__[name.split(".")[0]]
    for part in name.split(".")[1:]:
        value = getattr(value() if isinstance(value, type) else value, part)
    return {"value": Encoder(refer=refer).encode(value)}


def operate(request):
    decoder = Decoder(resolve=lambda number, *_: objects[number])
    target = decoder.decode(request["on"])
    if request.get("apart"):
        # To a checker: one of them is what a candidate said, which refers to nothing but itself.
        try:
            args = [Decoder().decode(code) for code in request["args"]]
        except Malformed as error:
            return {"malformed": str(error)}
    else:
        args = decoder.decode(request["args"])
    kwargs = decoder.decode(request["kwargs"])
    value = operations[request["do"]](target, *args, **kwargs)
    if request.get("only"):
        # Asked from outside any interpreter: the result, or the arguments as they are now, on their own.
        return {"value": Encoder(refer=refer).encode(value if request["only"] == "result" else args)}
    encoder = Encoder(decoder.known, refer)
    return {"value": encoder.encode(value), "changes": encoder.changes()}


def take(request):
    """The next items of an iterator, each as it is when it comes; how it ended, if it did."""
    iterator = objects[request["on"][1]]
    items = []
    end = time.monotonic() + request["seconds"]
    while len(items) < request["count"] and not (items and time.monotonic() > end):
        try:
            item = next(iterator)
        except StopIteration:
            return {"items": items, "end": "StopIteration"}
        except BaseException as error:
            return {"items": items, "end": raised(error)}
        items.append(Encoder(refer=refer).encode(item))
    return {"items": items, "end": None}


def beside(request, run_preamble=run_preamble, run_here=run_here, helpers_of=helpers_of, pristine=pristine):
    """Runs the tests in the candidate's own interpreter: only where they cannot do without its objects."""
    namespace = {"__name__": "__main__", "__builtins__": pristine}
    if request.get("preamble"):
        run_preamble(request["preamble"], namespace)
    own = module.__dict__
    namespace.update({name: own[name] for name in request["beside"]["names"] if name in own})
    namespace.update(helpers_of(request["beside"]["helpers"]))
    result = run_here(request["tests"], request["tests"], namespace)
    return {"nonce": request["nonce"], **result}


def handle(line):
    """One request, one response; both JSON texts."""
    request = json.loads(line)
    try:
        if request["op"] == "load":
            load(request["source"])
            response = {}
        elif request["op"] == "program":
            response = run_program(request["source"])
        elif request["op"] == "names":
            response = {"names": {name: look_up(name) for name in request["names"]}}
        elif request["op"] == "beside":
            response = beside(request)
        elif request["op"] == "take":
            response = take(request)
        else:
            response = operate(request)
    except BaseException as error:
        response = raised(error)
    return json.dumps(response)
