"""Runs the Python code of the documents.

The code before the first heading of level two is run before that of each section. A comment ``# -> text`` behind an expression
is the representation of its value, and a block of text behind a block of code is what it prints; ``...`` stands for anything.
"""

import ast
import contextlib
import doctest
import io
import linecache
import pathlib
import re
import typing

import pytest
import warpframe as wf

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", "python/README.md", "docs/python.md", "docs/coming-from-python.md"]
#: Packages that documents use, and that may be missing.
OPTIONAL = ["blosc2", "dask", "datafusion", "duckdb", "jax", "numba", "numexpr", "pandas", "polars", "pyarrow"]
LINE = re.compile(r"(`{3,})(\w*)\s*")


class Block(typing.NamedTuple):
    """A block of code or text."""

    language: str
    text: str
    #: The number of its first line in the document.
    line: int


def sections(document):
    """The blocks of a document by the heading of level two that they are below, which is None at the beginning."""
    heading, found, block = None, {None: []}, None
    for number, line in enumerate((ROOT / document).read_text().splitlines(), 1):
        fence = LINE.fullmatch(line)
        if block is not None:
            if fence and fence[1] == block[0]:
                found[heading].append(Block(block[1], "\n".join(block[3]) + "\n", block[2]))
                block = None
            else:
                block[3].append(line)
        elif fence:
            block = (fence[1], fence[2], number + 1, [])
        elif line.startswith("## "):
            heading = line[3:]
            found[heading] = []
    return {heading: blocks for heading, blocks in found.items() if any(block.language == "python" for block in blocks)}


CASES = [(document, heading) for document in DOCUMENTS for heading in sections(document)]


@pytest.fixture(autouse=True)
def keep_threads():
    threads = wf.get_num_threads()
    yield
    wf.set_num_threads(threads)


@pytest.mark.parametrize("document, heading", CASES, ids=lambda value: value or "beginning")
def test_document(document, heading, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks, variables = sections(document), {"__name__": "__main__"}
    before = [] if heading is None else blocks.get(None, [])
    for section in (before, blocks[heading]):
        for block, next_block in zip(section, [*section[1:], None]):
            if block.language == "python":
                printed = run(block, document, variables)
                if next_block is not None and next_block.language == "text":
                    check(next_block.text, printed, f"{document}:{next_block.line}")


def run(block, document, variables):
    """Runs a block, checks the values of its expressions, and returns what it prints."""
    # Tracing reads the source of functions.
    name, lines = f"{document}:{block.line}", block.text.splitlines(keepends=True)
    linecache.cache[name] = (len(block.text), None, lines, name)
    printed = io.StringIO()
    for statement in ast.parse(block.text).body:
        _, arrow, expected = lines[statement.end_lineno - 1].partition("# -> ")
        place = f"{document}:{block.line + statement.lineno - 1}"
        with contextlib.redirect_stdout(printed):
            try:
                if isinstance(statement, ast.Expr):
                    value = eval(compile(ast.Expression(statement.value), name, "eval"), variables)
                else:
                    exec(compile(ast.Module([statement], []), name, "exec"), variables)
            except ModuleNotFoundError as error:
                if error.name in OPTIONAL:
                    pytest.skip(f"{error.name} is not installed")
                raise
            except Exception as error:
                # The type and the message of an exception that is expected.
                if not arrow or not expected.startswith(type(error).__name__):
                    raise AssertionError(f"{place}: {type(error).__name__}: {error}") from error
                check(expected, f"{type(error).__name__}: {error}", place)
                continue
        if arrow:
            assert isinstance(statement, ast.Expr), f"{place}: only expressions have a value"
            check(expected, repr(value), place)
    return printed.getvalue()


def check(expected, actual, place):
    expected, actual = expected.strip() + "\n", actual.strip() + "\n"
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.OutputChecker().check_output(expected, actual, options), f"{place}:\n{actual}instead of\n{expected}"


def test_the_documents_have_code():
    counts = {document: sum(map(len, sections(document).values())) for document in DOCUMENTS}
    assert counts["docs/python.md"] >= 20 and counts["docs/coming-from-python.md"] >= 10 and all(counts.values()), counts


@pytest.mark.parametrize(
    "code",
    ["1 + 1  # -> 3", "x = 1  # -> 1", "1 / 0", "1 / 0  # -> ZeroDivisionError: something else", "import no_such_package"],
)
def test_code_that_is_wrong_fails(code):
    with pytest.raises((AssertionError, ModuleNotFoundError)):
        run(Block("python", code + "\n", 1), "document", {})


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", (ROOT / document).read_text(), flags=re.DOTALL | re.MULTILINE)
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            if not target.startswith("https://"):
                assert (ROOT / document).parent.joinpath(target).exists(), f"{document} links to {target}"
