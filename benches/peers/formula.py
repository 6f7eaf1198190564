"""Formulas and conditions as expression trees, and their text in the language of each tool.

A tree is `{"column": "x"}`, `{"constant": 0.5}`, or an operation and its operands: `{"op": "add", "args": [..., ...]}`. The
operands of `case` are a condition and a value for each branch, and the value of the other rows. An `Idiom` has the text of
each operation as the users of a tool write it. Trees are written as they are: no tool gets a formula that was simplified or
rearranged for it.
"""

#: How tightly the outermost operation of a text binds, from the loosest to the tightest.
OR, AND, NOT, COMPARE, BIT_OR, BIT_AND, ADD, MULTIPLY, NEGATE, POWER, ATOM = range(11)


class Unavailable(Exception):
    """The tool cannot do what is asked, or cannot run on this machine."""


def wrap(text, level, least):
    return text if level >= least else f"({text})"


def infix(symbol, level):
    """A left-associative operator. Comparisons do not associate."""

    def write(args, _nodes):
        (left, left_level), (right, right_level) = args
        left = wrap(left, left_level, level + (level == COMPARE))
        return f"{left} {symbol} {wrap(right, right_level, level + 1)}", level

    return write


def prefix(symbol, level):
    def write(args, _nodes):
        ((text, inner),) = args
        return symbol + wrap(text, inner, level + 1), level

    return write


def power(args, _nodes):
    """Python's `**`: its right operand may begin with a sign."""
    (base, base_level), (exponent, exponent_level) = args
    return f"{wrap(base, base_level, ATOM)} ** {wrap(exponent, exponent_level, NEGATE)}", POWER


def call(name):
    def write(args, _nodes):
        return f"{name}({', '.join(text for text, _ in args)})", ATOM

    return write


def fold(name):
    """A function of two operands, nested for more."""

    def write(args, _nodes):
        text = args[0][0]
        for other, _ in args[1:]:
            text = f"{name}({text}, {other})"
        return text, ATOM

    return write


def method(name, arguments=""):
    def write(args, _nodes):
        ((text, level),) = args
        return f"{wrap(text, level, ATOM)}.{name}({arguments})", ATOM

    return write


def where(name):
    """Nested calls of a function that selects: all branches are evaluated in all rows."""

    def write(args, _nodes):
        texts = [text for text, _ in args]
        selected = texts[-1]
        for condition, value in reversed(list(zip(texts[:-1:2], texts[1:-1:2]))):
            selected = f"{name}({condition}, {value}, {selected})"
        return selected, ATOM

    return write


def conditional_expression(args, _nodes):
    """Python's `value if condition else other`."""
    selected = wrap(*args[-1], OR)
    for condition, value in reversed(list(zip(args[:-1:2], args[1:-1:2]))):
        selected = f"{wrap(*value, OR)} if {wrap(*condition, OR)} else {selected}"
    return selected, -1


def sql_case(args, _nodes):
    texts = [text for text, _ in args]
    branches = "".join(f"WHEN {c} THEN {v} " for c, v in zip(texts[:-1:2], texts[1:-1:2]))
    return f"CASE {branches}ELSE {texts[-1]} END", ATOM


def polars_case(args, _nodes):
    texts = [text for text, _ in args]
    branches = "".join(f".when({c}).then({v})" for c, v in zip(texts[:-1:2], texts[1:-1:2]))
    return f"pl{branches}.otherwise({texts[-1]})", ATOM


def blosc2_case(args, nodes):
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node.get("op") in ("greatest", "least"):
            raise Unavailable("blosc2 4.14.1 returns wrong results of maximum and minimum inside of where")
        pending.extend(node.get("args", []))
    return where("where")(args, nodes)


def torch_extreme(name, limit):
    """`torch.maximum` and `torch.minimum` take tensors only: a constant is a limit of `torch.clamp`."""

    def write(args, nodes):
        constants = [text for (text, _), node in zip(args, nodes) if "constant" in node]
        tensors = [arg for arg, node in zip(args, nodes) if "constant" not in node]
        text, _ = fold(name)(tensors, nodes)
        for constant in constants:
            text = f"torch.clamp({text}, {limit}={constant})"
        return text, ATOM

    return write


class Idiom:
    """The operations of a tool, and how it writes constants and columns."""

    def __init__(self, name, operations, constant=repr, column="{}".format):
        self.name, self.operations = name, operations
        self.constant, self.column = constant, column

    def with_columns(self, column):
        """The same with another text for columns, such as `x[i]`."""
        return Idiom(self.name, self.operations, self.constant, column)

    def write(self, node):
        """The text of a tree, and how tightly its outermost operation binds."""
        if "column" in node:
            return self.column(node["column"]), ATOM
        if "constant" in node:
            text = self.constant(node["constant"])
            return text, NEGATE if text.startswith("-") else ATOM
        operation = self.operations.get(node["op"])
        if operation is None:
            raise Unavailable(f"{self.name} has no counterpart of {node['op']}")
        return operation([self.write(arg) for arg in node["args"]], node["args"])


class Formula:
    """A formula or a condition."""

    def __init__(self, tree):
        self.tree = tree
        names = set()
        pending = [tree]
        while pending:
            node = pending.pop()
            names.update([node["column"]] if "column" in node else [])
            pending.extend(node.get("args", []))
        #: The names of the columns that it reads.
        self.columns = sorted(names, key="xyzw".index)

    def text(self, idiom):
        return idiom.write(self.tree)[0]

    def function(self, idiom, namespace):
        """A Python function of its columns. `namespace` has the modules and functions that the text uses."""
        return eval(f"lambda {', '.join(self.columns)}: {self.text(idiom)}", dict(namespace))


#: Operators of Python.
OPERATORS = {
    "add": infix("+", ADD),
    "subtract": infix("-", ADD),
    "multiply": infix("*", MULTIPLY),
    "divide": infix("/", MULTIPLY),
    "negate": prefix("-", NEGATE),
    "power": power,
    "lt": infix("<", COMPARE),
    "le": infix("<=", COMPARE),
    "gt": infix(">", COMPARE),
    "ge": infix(">=", COMPARE),
    "eq": infix("==", COMPARE),
    "ne": infix("!=", COMPARE),
}

#: Python's logical operators, of scalars, and those of arrays.
OF_BOOLEANS = {"and": infix("and", AND), "or": infix("or", OR), "not": prefix("not ", NOT)}
OF_MASKS = {"and": infix("&", BIT_AND), "or": infix("|", BIT_OR), "not": prefix("~", NEGATE)}

#: Functions by the names of Python's `math` module.
MATH = {
    op: call(name)
    for op, name in {
        "sqrt": "sqrt",
        "cbrt": "cbrt",
        "ln": "log",
        "log2": "log2",
        "log10": "log10",
        "exp": "exp",
        "sin": "sin",
        "cos": "cos",
        "tan": "tan",
        "asin": "asin",
        "acos": "acos",
        "atan": "atan",
        "sinh": "sinh",
        "cosh": "cosh",
        "tanh": "tanh",
        "atan2": "atan2",
        "remainder": "fmod",
        "is_nan": "isnan",
    }.items()
}


def array_functions(prefix, without=()):
    """Functions by NumPy's names."""
    names = {
        "abs": "abs",
        "sqrt": "sqrt",
        "cbrt": "cbrt",
        "ln": "log",
        "log2": "log2",
        "log10": "log10",
        "exp": "exp",
        "sin": "sin",
        "cos": "cos",
        "tan": "tan",
        "asin": "arcsin",
        "acos": "arccos",
        "atan": "arctan",
        "sinh": "sinh",
        "cosh": "cosh",
        "tanh": "tanh",
        "atan2": "arctan2",
        "degrees": "degrees",
        "radians": "radians",
        "floor": "floor",
        "ceil": "ceil",
        "trunc": "trunc",
        "signum": "sign",
        "remainder": "fmod",
        "is_nan": "isnan",
    }
    functions = {op: call(prefix + name) for op, name in names.items() if op not in without}
    extremes = {"greatest": fold(prefix + "maximum"), "least": fold(prefix + "minimum")}
    return OPERATORS | OF_MASKS | functions | extremes | {"case": where(prefix + "where")}


NUMPY = Idiom("NumPy", array_functions("np."))
JAX = Idiom("JAX", array_functions("jnp."))
CUPY = Idiom("CuPy", array_functions("cupy."))
NUMEXPR = Idiom("numexpr", array_functions("", without=["cbrt", "degrees", "radians"]))
BLOSC2 = Idiom(
    "blosc2",
    array_functions("", without=["cbrt", "degrees", "radians", "remainder"]) | {"case": blosc2_case},
)

TORCH = Idiom(
    "PyTorch",
    array_functions("torch.", without=["cbrt"])
    | {
        "asin": call("torch.asin"),
        "acos": call("torch.acos"),
        "atan": call("torch.atan"),
        "atan2": call("torch.atan2"),
        "degrees": call("torch.rad2deg"),
        "radians": call("torch.deg2rad"),
        "greatest": torch_extreme("torch.maximum", "min"),
        "least": torch_extreme("torch.minimum", "max"),
    },
)

SCALARS = (
    OPERATORS
    | OF_BOOLEANS
    | MATH
    | {
        "abs": call("abs"),
        "degrees": call("degrees"),
        "radians": call("radians"),
        "greatest": call("max"),
        "least": call("min"),
        "case": conditional_expression,
    }
)

#: `floor`, `ceil` and `trunc` of Python's `math` return integers, which have any size in Python, but not in Numba.
PYTHON = Idiom("Python", SCALARS | {op: call(op) for op in ["floor", "ceil", "trunc"]})
NUMBA = Idiom(
    "Numba",
    SCALARS
    | {op: call("np." + op) for op in ["cbrt", "floor", "ceil", "trunc"]}
    | {"signum": call("np.sign"), "remainder": call("np.fmod")},
)
NUMBA_CUDA = Idiom("Numba CUDA", SCALARS | {op: call(op) for op in ["floor", "ceil", "trunc"]})

POLARS = Idiom(
    "Polars",
    OPERATORS
    | OF_MASKS
    | {
        op: method(name)
        for op, name in {
            "abs": "abs",
            "sqrt": "sqrt",
            "cbrt": "cbrt",
            "ln": "log",
            "log10": "log10",
            "exp": "exp",
            "sin": "sin",
            "cos": "cos",
            "tan": "tan",
            "asin": "arcsin",
            "acos": "arccos",
            "atan": "arctan",
            "sinh": "sinh",
            "cosh": "cosh",
            "tanh": "tanh",
            "degrees": "degrees",
            "radians": "radians",
            "floor": "floor",
            "ceil": "ceil",
            "signum": "sign",
            "is_nan": "is_nan",
        }.items()
    }
    | {
        "log2": method("log", "2"),
        "trunc": method("truncate"),
        "round": method("round", 'mode="half_away_from_zero"'),
        "atan2": call("pl.arctan2"),
        "greatest": call("pl.max_horizontal"),
        "least": call("pl.min_horizontal"),
        "case": polars_case,
    },
    column='pl.col("{}")'.format,
)

SQL = (
    OPERATORS
    | {
        op: call(op)
        for op in [
            *["abs", "sqrt", "cbrt", "ln", "log2", "log10", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh"],
            *["cosh", "tanh", "atan2", "degrees", "radians", "floor", "ceil", "round", "trunc", "power"],
            *["greatest", "least"],
        ]
    }
    | {
        "remainder": infix("%", MULTIPLY),
        "eq": infix("=", COMPARE),
        "ne": infix("<>", COMPARE),
        "and": infix("AND", AND),
        "or": infix("OR", OR),
        "not": prefix("NOT ", NOT),
        "is_nan": call("isnan"),
        "case": sql_case,
    }
)

DATAFUSION = Idiom("DataFusion", SQL | {"signum": call("signum")})
#: DuckDB reads `0.5` as a decimal number, and `0.5e0` as a floating-point number.
DUCKDB = Idiom(
    "DuckDB",
    SQL | {"signum": call("sign")},
    constant=lambda value: repr(value) if isinstance(value, bool) or "e" in repr(value) else f"{value!r}e0",
)
