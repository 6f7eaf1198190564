"""Prints a trace as a SQL expression that has Python's meaning.

SQL and Python differ in the results of operators: ``/`` of integers, ``//`` and ``%`` of negative numbers, comparisons of NaN,
``round`` of halves, and operations that are errors in SQL. Each operation is printed as an expression that gives Python's result
for all numbers. NULL is the result wherever an operand that decides it is NULL. Zeros and NaN may have another sign, and a cast
fails in SQL for a number that its type does not have.

An operand can occur several times in the expression of an operation; texts of more than `LONGEST` characters are refused.
"""

import numpy as np

#: The number of characters of the longest text that is printed.
LONGEST = 200_000

_TYPES = {
    "bool": "BOOLEAN",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "uint8": "TINYINT UNSIGNED",
    "uint16": "SMALLINT UNSIGNED",
    "uint32": "INT UNSIGNED",
    "uint64": "BIGINT UNSIGNED",
    "float32": "REAL",
    "float64": "DOUBLE",
}
_PYTHON_TYPES = {"bool": "bool", "int": "int64", "float": "float64"}

_BOOL, _INT64, _FLOAT32, _FLOAT64 = (np.dtype(name) for name in ("bool", "int64", "float32", "float64"))

# Names that have another meaning in the grammar of SQL or of one of its dialects.
_RESERVED = frozenset(
    """
    all and any array as asc between by case cast ceil create cross cube current_catalog current_date current_time
    current_timestamp current_user date datetime64 day default desc distinct drop else end enum enum16 enum8 escape
    except exists extract false fetch first fixedstring floor for from full function group grouping having hour if in
    inner inout insert intersect interval into is isnull join last lateral left like limit localtime localtimestamp
    lowcardinality map minute month natural nested not notnull null nullable nulls of offset on or order out outer over
    overlay partition position range regexp replace return returning returns right rlike rollup row rows second select
    session_user set similar some struct substring table then time timestamp to top translate trim true try_cast tuple
    union unnest update user using values variadic view when where window with within year
    """.split()
)

# How strongly operators bind, from the weakest. Operands of bit operators are put into parentheses, whose order differs among
# dialects.
_OR, _AND, _NOT, _COMPARISON, _BITS, _SUM, _PRODUCT, _SIGN, _ATOM = range(9)


def create_function(name, parameters, annotations, nodes, result):
    """The statement that defines a traced function.

    Parameters
    ----------
    name : str
        The name of the function.
    parameters : sequence of str
        The names of the parameters.
    annotations : dict
        Types of parameters by name: Python's `bool`, `int` and `float`, NumPy's types of numbers, or their names. Parameters
        without one, or with another one, are ``DOUBLE``.
    nodes, result
        The trace; see `Trace.finish`.

    Returns
    -------
    str
        The text, without a semicolon.

    Raises
    ------
    NotImplementedError
        SQL has no expression for an operation.
    TypeError
        An operation is not defined for the types of its operands.
    OverflowError
        A Python integer is outside of the range of the type that it is combined with.
    """
    dtypes = [_annotated(annotations.get(parameter)) for parameter in parameters]
    value = _Printer(parameters, dtypes).print(nodes, result)
    declared = ", ".join(
        f"{_identifier(parameter)} {_TYPES[dtype.name]}" for parameter, dtype in zip(parameters, dtypes)
    )
    return f"CREATE FUNCTION {_identifier(name)}({declared}) RETURNS {_TYPES[value.dtype.name]} RETURN {value.text}"


def _annotated(annotation):
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    name = name.strip("'\" ").rpartition(".")[2]
    name = _PYTHON_TYPES.get(name, name)
    return np.dtype(name) if name in _TYPES else _FLOAT64


class _Value:
    """A SQL expression.

    Attributes
    ----------
    text : str
        The expression.
    binding : int
        How strongly its outermost operator binds.
    dtype : numpy.dtype or type
        Its type; Python's `int` or `float` of a constant that takes the type of what it is combined with.
    parameters : frozenset of int
        The parameters that occur in it.
    strict : frozenset of int
        The parameters without which it is NULL.
    constant : bool, int, float or None
        The number that it is, if it is a literal.
    is_nonnegative : bool
        Whether it is known to be positive, zero or NaN.
    branches : str or None
        The text between CASE and END, if it is such an expression.
    """

    __slots__ = ("text", "binding", "dtype", "parameters", "strict", "constant", "is_nonnegative", "branches")

    def __init__(self, text, binding, dtype, *, parameters=frozenset(), strict=None, constant=None, is_nonnegative=False):
        if len(text) > LONGEST:
            raise NotImplementedError(
                f"the SQL text has more than {LONGEST} characters, because operands are repeated in it; "
                "print the SQL text of parts of the function"
            )
        self.text, self.binding, self.dtype = text, binding, dtype
        self.parameters = parameters
        self.strict = parameters if strict is None else strict
        self.constant = constant
        self.is_nonnegative = is_nonnegative
        self.branches = None

    def inside(self, binding):
        """The text as an operand of an operator that binds so strongly."""
        return self.text if self.binding >= binding else f"({self.text})"


def _of(text, binding, dtype, *operands, is_nonnegative=False):
    """An expression that is NULL where an operand is."""
    return _Value(
        text,
        binding,
        dtype,
        parameters=frozenset().union(*[operand.parameters for operand in operands]),
        strict=frozenset().union(*[operand.strict for operand in operands]),
        is_nonnegative=is_nonnegative,
    )


def _call(name, *operands, dtype=None, is_nonnegative=False):
    text = f"{name}({', '.join(operand.text for operand in operands)})"
    return _of(text, _ATOM, dtype or operands[0].dtype, *operands, is_nonnegative=is_nonnegative)


def _infix(operator, binding, left, right, dtype=None):
    if binding == _BITS:
        text = f"{left.inside(_ATOM)} {operator} {right.inside(_ATOM)}"
    else:
        # Operators of one strength are evaluated from left to right.
        text = f"{left.inside(binding)} {operator} {right.inside(binding + 1)}"
    return _of(text, binding, dtype or left.dtype, left, right)


def _add(left, right):
    result = _infix("+", _SUM, left, right)
    result.is_nonnegative = left.is_nonnegative and right.is_nonnegative and left.dtype.kind == "f"
    return result


def _subtract(left, right):
    return _infix("-", _SUM, left, right)


def _multiply(left, right):
    result = _infix("*", _PRODUCT, left, right)
    both = left.is_nonnegative and right.is_nonnegative or left.text == right.text
    result.is_nonnegative = both and left.dtype.kind == "f"
    return result


def _divide(left, right):
    return _infix("/", _PRODUCT, left, right)


def _truncated_remainder(left, right):
    return _infix("%", _PRODUCT, left, right)


def _negate(value):
    if value.dtype.kind == "u":
        return _subtract(_literal(0, value.dtype), value)
    return _of(f"-{value.inside(_ATOM)}", _SIGN, value.dtype, value)


def _compare(operator, left, right):
    """SQL's comparison, in which NaN is greater or less than all numbers."""
    return _infix(operator, _COMPARISON, left, right, _BOOL)


def _not(value):
    return _of(f"NOT {value.inside(_COMPARISON)}", _NOT, _BOOL, value)


def _logical(operator, left, right):
    """AND or OR, which are not NULL where one operand decides them."""
    binding = _AND if operator == "AND" else _OR
    result = _infix(operator, binding, left, right, _BOOL)
    result.strict = left.strict & right.strict
    return result


def _case(condition, yes, no):
    """One value or another, and NULL where the condition is NULL."""
    unknown = "" if condition.parameters <= no.strict else f"WHEN {condition.inside(_BITS)} IS NULL THEN NULL "
    branches = f"{unknown}WHEN {condition.text} THEN {yes.text} {no.branches or f'ELSE {no.text}'}"
    result = _of(f"CASE {branches} END", _ATOM, yes.dtype, condition, yes, no)
    result.branches = branches
    result.strict = condition.strict | (yes.strict & no.strict)
    result.is_nonnegative = yes.is_nonnegative and no.is_nonnegative
    return result


def _null_of_null(result, *operands):
    """A result, and NULL where an operand is."""
    unknown = [f"{value.inside(_BITS)} IS NULL" for value in operands if value.parameters]
    if not unknown:
        return result
    branches = f"WHEN {' OR '.join(unknown)} THEN NULL {result.branches or f'ELSE {result.text}'}"
    guarded = _of(f"CASE {branches} END", _ATOM, result.dtype, *operands, is_nonnegative=result.is_nonnegative)
    guarded.branches = branches
    return guarded


def _literal(number, dtype):
    """A number of a NumPy type."""
    sql, options = _TYPES[dtype.name], {"constant": number, "is_nonnegative": not number < 0}
    if dtype.kind == "b":
        return _Value("true" if number else "false", _ATOM, dtype, **options)
    if dtype.kind == "f":
        number = float(dtype.type(number))
        if not np.isfinite(number):
            text = "NaN" if np.isnan(number) else "inf" if number > 0 else "-inf"
            return _Value(f"CAST('{text}' AS {sql})", _ATOM, dtype, **options)
        text = repr(number)
        if dtype == _FLOAT32:
            # The shortest text, if it is still that number when it is read as DOUBLE first.
            short = str(dtype.type(number))
            text = f"CAST({short if dtype.type(float(short)) == dtype.type(number) else text} AS REAL)"
            return _Value(text, _ATOM, dtype, **options)
        return _Value(text, _SIGN if text.startswith("-") else _ATOM, dtype, **options)
    number = int(number)
    limits = np.iinfo(dtype)
    if not limits.min <= number <= limits.max:
        raise OverflowError(f"the Python integer {number} is outside of the range of {dtype.name}")
    if dtype == _INT64 and number > limits.min:
        return _Value(str(number), _SIGN if number < 0 else _ATOM, dtype, **options)
    return _Value(f"CAST('{number}' AS {sql})", _ATOM, dtype, **options)


def _convert(value, dtype):
    """A value of another type."""
    if value.constant is not None and value.dtype in (int, float):
        number = value.constant
        if dtype.kind == "b":
            number = bool(number)
        return _literal(number, dtype)
    if value.dtype == dtype:
        return value
    if dtype.kind == "b":
        return _compare("<>", value, _literal(0, value.dtype))
    if value.constant is not None and dtype.kind == "f":
        return _literal(value.constant, dtype)
    return _of(
        f"CAST({value.text} AS {_TYPES[dtype.name]})", _ATOM, dtype, value, is_nonnegative=value.is_nonnegative
    )


def _nan(dtype, sign=1):
    nan = _literal(float("nan"), dtype)
    return nan if sign > 0 else _negate(nan)


def _without_nan(value, sign):
    """A value whose NaN has a known sign, which decides whether SQL takes it for greater or less than all numbers."""
    if value.dtype.kind != "f" or (value.constant is not None and not np.isnan(value.constant)):
        return value
    return _call("nanvl", value, _nan(value.dtype, sign))


def _ieee(operator, left, right):
    """A comparison that is false if an operand is NaN, and true in the case of ``<>``."""
    literals = [value.constant is not None and value.constant == value.constant for value in (left, right)]
    if operator in ("=", "<>") and any(literals):
        # NaN is equal to no number in SQL, either.
        return _compare(operator, left, right)
    # NaN becomes greater than all numbers on one side, and less than all on the other one: that side on which the comparison
    # is then false.
    sign = -1 if operator in (">", ">=") else 1
    return _compare(operator, _without_nan(left, sign), _without_nan(right, -sign))


def _is_negative(value):
    return _compare("<", value, _literal(0, value.dtype))


def _is_zero(value):
    return _compare("=", value, _literal(0, value.dtype))


# Operations: functions of operands that have the type in which NumPy computes them.


def _sqrt(x):
    # The root of a negative number is an error in SQL.
    root = _call("sqrt", x, is_nonnegative=True)
    return root if x.is_nonnegative else _case(_is_negative(x), _nan(x.dtype), root)


def _absolute(x):
    if x.dtype.kind in "bu":
        return x
    if x.dtype.kind == "f":
        return _call("abs", x, is_nonnegative=True)
    # The absolute value of the least integer is an error in SQL, and itself in NumPy.
    return _case(_is_negative(x), _negate(x), x)


def _invert(x):
    if x.dtype.kind == "b":
        return _not(x)
    last = np.iinfo(x.dtype).max if x.dtype.kind == "u" else -1
    return _subtract(_literal(last, x.dtype), x)


def _reciprocal(x):
    if x.dtype.kind != "f":
        raise NotImplementedError("SQL has no expression for reciprocal of integers: write 1 / x")
    return _divide(_literal(1, x.dtype), x)


def _exp(x):
    return _call("exp", x, is_nonnegative=True)


def _exp2(x):
    return _float_power(_literal(2, x.dtype), x)


def _expm1(x):
    # exp(x) - 1 loses digits near zero; 2 * sinh(x / 2) * exp(x / 2) does not.
    half = _divide(x, _literal(2, x.dtype))
    product = _multiply(_multiply(_literal(2, x.dtype), _call("sinh", half)), _call("exp", half))
    return _case(_ieee("<", x, _literal(-80, x.dtype)), _literal(-1, x.dtype), product)


def _log1p(x):
    # ln(1 + x) loses digits near zero; 2 * atanh(x / (x + 2)) does not.
    one, two = _literal(1, x.dtype), _literal(2, x.dtype)
    near = _multiply(two, _call("atanh", _divide(x, _add(x, two))))
    return _case(_compare("<", _call("abs", x), _literal(0.5, x.dtype)), near, _call("ln", _add(one, x)))


def _round(x):
    if x.dtype.kind != "f":
        return x
    # Halves are rounded away from zero by SQL.
    half, two = _literal(0.5, x.dtype), _literal(2, x.dtype)
    is_half = _compare("=", _call("abs", _subtract(x, _call("trunc", x))), half)
    return _case(is_half, _multiply(two, _call("round", _divide(x, two))), _call("round", x))


def _rounding(name):
    return lambda x: _call(name, x) if x.dtype.kind == "f" else x


def _sign(x):
    if x.dtype.kind == "f":
        return _call("signum", x)
    zero = _literal(0, x.dtype)
    positive = _case(_compare(">", x, zero), _literal(1, x.dtype), x)
    return positive if x.dtype.kind == "u" else _case(_is_negative(x), _literal(-1, x.dtype), positive)


def _isnan(x):
    return _call("isnan", x, dtype=_BOOL) if x.dtype.kind == "f" else _compare("<>", x, x)


def _isinf(x):
    if x.dtype.kind != "f":
        return _compare("<>", x, x)
    return _compare("=", _call("abs", x), _literal(np.inf, x.dtype))


def _isfinite(x):
    if x.dtype.kind != "f":
        return _compare("=", x, x)
    return _compare("<", _call("abs", x), _literal(np.inf, x.dtype))


def _floor_divide(x, y):
    zero, one = _literal(0, x.dtype), _literal(1, x.dtype)
    remainder = _truncated_remainder(x, y)
    if x.dtype.kind == "f":
        quotient = _call("round", _divide(_subtract(x, remainder), y))
    else:
        quotient = _divide(x, y)
    if x.dtype.kind != "u":
        quotient = _case(_is_rounded_up(remainder, y), _subtract(quotient, one), quotient)
    if y.constant is None or y.constant == 0:
        quotient = _case(_is_zero(y), _divide(x, y) if x.dtype.kind == "f" else _multiply(x, zero), quotient)
    return _guard_least(x, y, _negate(x) if x.dtype.kind == "i" else x, quotient)


def _remainder(x, y):
    remainder = _truncated_remainder(x, y)
    if x.dtype.kind != "u":
        remainder = _case(_is_rounded_up(remainder, y), _add(remainder, y), remainder)
    return _guard_zero(x, y, remainder)


def _fmod(x, y):
    return _guard_zero(x, y, _truncated_remainder(x, y))


def _is_rounded_up(remainder, y):
    """Whether a quotient is negative and not an integer, so that truncation rounds it up."""
    zero = _literal(0, y.dtype)
    if y.constant is not None:
        return _compare("<" if y.constant > 0 else ">", remainder, zero)
    signs_differ = _infix("<>", _COMPARISON, _parenthesized(_is_negative(remainder)), _parenthesized(_is_negative(y)), _BOOL)
    return _logical("AND", _compare("<>", remainder, zero), signs_differ)


def _parenthesized(value):
    return _of(f"({value.text})", _ATOM, value.dtype, value)


def _guard_zero(x, y, remainder):
    """A remainder of integers, which is 0 in NumPy if the divisor is 0, and an error in SQL."""
    if x.dtype.kind == "f":
        return remainder
    # NULL if `x` is.
    zero = _multiply(x, _literal(0, x.dtype))
    if y.constant is None or y.constant == 0:
        remainder = _case(_is_zero(y), zero, remainder)
    return _guard_least(x, y, zero, remainder)


def _guard_least(x, y, special, result):
    """The result of a division of integers, where the least integer divided by -1 is an error in SQL."""
    if x.dtype.kind != "i" or (y.constant is not None and y.constant != -1):
        return result
    return _case(_compare("=", y, _literal(-1, y.dtype)), special, result)


def _float_power(x, y):
    # power of REAL is DOUBLE.
    power = _call("power", x, y)
    return power if x.dtype == _FLOAT64 else _of(f"CAST({power.text} AS REAL)", _ATOM, x.dtype, power)


def _power(x, y):
    if x.dtype.kind != "f":
        return _integer_power(x, y)
    if y.constant is not None and y.constant == 2:
        return _multiply(x, x)
    power = _float_power(x, y)
    is_certain = (x.constant is not None and x.constant != 0) or (y.constant is not None and not y.constant < 0)
    if is_certain or y.is_nonnegative:
        return power
    # A negative power of zero is an error in SQL.
    positive = _literal(-y.constant, y.dtype) if y.constant is not None else _negate(y)
    infinite = _divide(_literal(1, x.dtype), _float_power(x, positive))
    condition = _is_zero(x) if y.constant is not None else _logical("AND", _is_zero(x), _is_negative(y))
    return _case(condition, infinite, power)


def _integer_power(x, y):
    if y.constant is None or not 0 <= y.constant <= 16:
        raise NotImplementedError(
            "SQL has no expression for power of integers, unless the exponent is a constant from 0 to 16: "
            "convert the base with .astype(float)"
        )
    if y.constant == 0:
        return _case(_compare("=", x, x), _literal(1, x.dtype), x)
    product = x
    for _ in range(y.constant - 1):
        product = _multiply(product, x)
    return product


def _extremum(name, nan):
    """The greater or smaller of two values. `nan` is the sign of NaN, which SQL takes for greater or less than all numbers."""

    def print_(x, y):
        if x.dtype.kind == "b":
            return _null_of_null(_logical("OR" if name == "greatest" else "AND", x, y), x, y)
        # Both functions leave NULL out.
        return _null_of_null(_call(name, _without_nan(x, nan), _without_nan(y, nan)), x, y)

    return print_


def _hypot(x, y):
    infinite, zero, one = (_literal(number, x.dtype) for number in (np.inf, 0, 1))
    if x.text == y.text:
        return _multiply(_call("abs", x), _sqrt(_literal(2, x.dtype)))

    def scaled(large, small):
        ratio = _divide(small, large)
        return _multiply(_call("abs", large), _sqrt(_add(one, _multiply(ratio, ratio))))

    # The squares of large numbers are infinite, and those of small ones zero.
    larger = _compare(">", _call("abs", x), _call("abs", y))
    is_zero = _compare("=", y, zero)
    is_infinite = _logical("OR", _isinf(x), _isinf(y))
    finite = _case(larger, scaled(x, y), _case(is_zero, _call("abs", x), scaled(y, x)))
    result = _null_of_null(_case(is_infinite, infinite, finite), x, y)
    result.is_nonnegative = True
    return result


def _copysign(x, y):
    magnitude = _call("abs", x, is_nonnegative=True)
    if y.constant is not None:
        return _negate(magnitude) if np.signbit(y.constant) else magnitude
    # The sign of a zero shows in its reciprocal.
    is_negative_zero = _logical("AND", _is_zero(y), _is_negative(_divide(_literal(1, y.dtype), y)))
    return _case(_logical("OR", _is_negative(y), is_negative_zero), _negate(magnitude), magnitude)


def _bits(operator, logical):
    def print_(x, y):
        if x.dtype.kind == "b":
            if logical is None:
                return _compare("<>", x, y)
            return _logical(logical, x, y)
        return _infix(operator, _BITS, x, y)

    return print_


def _shift(operator):
    def print_(x, y):
        width = 8 * x.dtype.itemsize
        shifted = _infix(operator, _BITS, x, y)
        if y.constant is not None and 0 <= y.constant < width:
            return shifted
        # SQL takes the number of bits modulo the width. The product is NULL if `x` is.
        beyond = _multiply(x, _literal(0, x.dtype))
        if operator == ">>" and x.dtype.kind == "i":
            beyond = _case(_is_negative(x), _literal(-1, x.dtype), beyond)
        low, high = _literal(0, y.dtype), _literal(width - 1, y.dtype)
        inside = _of(f"{y.inside(_BITS)} BETWEEN {low.text} AND {high.text}", _COMPARISON, _BOOL, y)
        return _case(_not(_parenthesized(inside)), beyond, shifted)

    return print_


def _logical_operation(name):
    def print_(x, y):
        x, y = _convert(x, _BOOL), _convert(y, _BOOL)
        return _compare("<>", _parenthesized(x), _parenthesized(y)) if name is None else _logical(name, x, y)

    return print_


def _comparison(operator):
    return lambda x, y: _ieee(operator, x, y)


def _sum(x, y):
    return _logical("OR", x, y) if x.dtype.kind == "b" else _add(x, y)


def _product(x, y):
    return _logical("AND", x, y) if x.dtype.kind == "b" else _multiply(x, y)


def _function(name):
    return lambda x: _call(name, x)


def _arctan2(y, x):
    return _call("atan2", y, x)


_OPERATIONS = {
    "negative": _negate,
    "absolute": _absolute,
    "invert": _invert,
    "logical_not": lambda x: _not(_convert(x, _BOOL)),
    "sqrt": _sqrt,
    "square": lambda x: _product(x, x),
    "reciprocal": _reciprocal,
    "exp": _exp,
    "exp2": _exp2,
    "expm1": _expm1,
    "log1p": _log1p,
    "rint": _round,
    "round": _round,
    "floor": _rounding("floor"),
    "ceil": _rounding("ceil"),
    "trunc": _rounding("trunc"),
    "sign": _sign,
    "isnan": _isnan,
    "isinf": _isinf,
    "isfinite": _isfinite,
    **{name: _function(name) for name in "cbrt log2 log10 sin cos tan sinh cosh tanh degrees radians".split()},
    "log": _function("ln"),
    **{f"arc{name}": _function(f"a{name}") for name in "sin cos tan sinh cosh tanh".split()},
    "add": _sum,
    "subtract": _subtract,
    "multiply": _product,
    "divide": _divide,
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "fmod": _fmod,
    "power": _power,
    "minimum": _extremum("least", -1),
    "maximum": _extremum("greatest", 1),
    "fmin": _extremum("least", 1),
    "fmax": _extremum("greatest", -1),
    "arctan2": _arctan2,
    "hypot": _hypot,
    "copysign": _copysign,
    "less": _comparison("<"),
    "less_equal": _comparison("<="),
    "greater": _comparison(">"),
    "greater_equal": _comparison(">="),
    "equal": _comparison("="),
    "not_equal": _comparison("<>"),
    "bitwise_and": _bits("&", "AND"),
    "bitwise_or": _bits("|", "OR"),
    "bitwise_xor": _bits("^", None),
    "left_shift": _shift("<<"),
    "right_shift": _shift(">>"),
    "logical_and": _logical_operation("AND"),
    "logical_or": _logical_operation("OR"),
    "logical_xor": _logical_operation(None),
}

_COMPARISONS = frozenset("less less_equal greater greater_equal equal not_equal".split())


class _Printer:
    """Prints the nodes of a trace for parameters of known types."""

    def __init__(self, parameters, dtypes):
        self._parameters = parameters
        self._dtypes = dtypes

    def print(self, nodes, result):
        """The value of the node at a position."""
        values = []
        for node in nodes:
            values.append(self._value(node, values))
        value = values[result]
        if not isinstance(value.dtype, np.dtype):
            return _convert(value, np.dtype(value.dtype))
        return value

    def _value(self, node, values):
        kind = node[0]
        if kind == "param":
            position = node[1]
            text, dtype = _identifier(self._parameters[position]), self._dtypes[position]
            return _Value(text, _ATOM, dtype, parameters=frozenset([position]), is_nonnegative=dtype.kind == "u")
        if kind == "const":
            if node[1] is not None or isinstance(node[2], bool):
                return _literal(node[2], np.dtype(node[1] or "bool"))
            return _Value("", _ATOM, type(node[2]), constant=node[2])
        if kind == "cast":
            return _convert(values[node[2]], np.dtype(node[1]))
        operands = [values[position] for position in node[1:]]
        if kind == "where":
            condition, yes, no = operands
            dtype = _common(yes, no)
            return _case(_convert(condition, _BOOL), _convert(yes, dtype), _convert(no, dtype))
        operands = [_convert(value, dtype) for value, dtype in zip(operands, _computed(kind, operands))]
        return _OPERATIONS[kind](*operands)


def _common(x, y):
    """The type of values that can be one or the other."""
    if x.constant is not None and y.constant is not None:
        return np.result_type(
            *[value.dtype.type(value.constant) if isinstance(value.dtype, np.dtype) else value.constant for value in (x, y)]
        )
    return np.add.resolve_dtypes((x.dtype, y.dtype, None))[2]


def _computed(operation, operands):
    """The types in which NumPy computes an operation."""
    dtypes = [value.dtype for value in operands]
    if operation == "round":
        # It is no universal function. Booleans are rounded in half precision.
        return [_FLOAT32] if dtypes[0] == _BOOL else dtypes
    if operation in _COMPARISONS:
        # Comparisons with integers outside of the range of the type are right in NumPy.
        for value, other in zip(operands, reversed(operands)):
            if value.dtype is int and other.dtype.kind in "iu":
                limits = np.iinfo(other.dtype)
                if not limits.min <= value.constant <= limits.max:
                    dtypes = [_INT64, _INT64]
    ufunc = getattr(np, operation)
    try:
        computed = ufunc.resolve_dtypes((*dtypes, *[None] * ufunc.nout))[: ufunc.nin]
    except TypeError as error:
        names = " and ".join(getattr(dtype, "name", getattr(dtype, "__name__", "")) for dtype in dtypes)
        raise TypeError(f"{operation} is not defined for {names}") from error
    # There is no type of half precision.
    return [_FLOAT32 if dtype == np.float16 else dtype for dtype in computed]


def _identifier(name):
    """A name, in quotation marks if SQL would read it as something else."""
    is_plain = name.isascii() and name.isidentifier() and name == name.lower() and name not in _RESERVED
    if is_plain:
        return name
    return '"' + name.replace('"', '""') + '"'
