"""Assignments of a function to variables outside of it, which a traced function would do once and not for each row."""

from types import CodeType

_FORBIDDEN = {
    "STORE_GLOBAL": "assigns to the global variable",
    "DELETE_GLOBAL": "deletes the global variable",
    "STORE_DEREF": "assigns to the variable of an enclosing function",
    "DELETE_DEREF": "deletes the variable of an enclosing function",
}


def check_side_effects(function):
    """Refuses a function that assigns to variables outside of it.

    Raises
    ------
    TypeError
        The function has a ``global`` or ``nonlocal`` variable to which it assigns.
    """
    from opcode import opmap

    code = function.__code__
    forbidden = {opmap[name] for name in _FORBIDDEN if name in opmap}
    _check(code, frozenset(code.co_freevars), forbidden)


def _check(code, outside, forbidden):
    # Every instruction is two bytes: a code and an argument.
    if not forbidden.isdisjoint(code.co_code[::2]):
        _disassemble(code, outside)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _check(constant, outside, forbidden)


def _disassemble(code, outside):
    import dis

    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        if instruction.positions is not None and instruction.positions.lineno is not None:
            line = instruction.positions.lineno
        does = _FORBIDDEN.get(instruction.opname)
        # Variables of the function that functions inside of it use are also cells.
        if does is not None and (instruction.opname.endswith("GLOBAL") or instruction.argval in outside):
            import linecache

            place = f"{code.co_filename}:{line}"
            text = linecache.getline(code.co_filename, line).strip()
            if text:
                place = f"`{text}` ({place})"
            raise TypeError(
                f"cannot trace {place}: {code.co_name} has a side effect, because it {does} {instruction.argval}; "
                "write a function that only computes and returns a value"
            )
