"""Runs the programs of examples/python with few rows."""

import importlib.util
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

import numpy as np
import pytest

DEMO = pathlib.Path(__file__).resolve().parents[2] / "examples/python/compare_demo.py"
CASES = [
    "python", "numpy", "numba", "numba-parallel", "numba-vectorize", "numba-cuda", "dask-threads", "dask-processes",
    "warpframe-evaluate", "warpframe-function", "warpframe-out", "warpframe-sql", "warpframe-cuda", "warpframe-cluster",
]


@pytest.fixture(scope="module")
def demo():
    specification = importlib.util.spec_from_file_location("compare_demo", DEMO)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def run(*arguments):
    return subprocess.run([sys.executable, str(DEMO), *arguments], capture_output=True, text=True, timeout=300)


def test_all_cases(demo, tmp_path):
    assert list(demo.CASES) == CASES
    ran = run("--rows", "2000", "--repeat", "2", "--out", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    expected = np.sum(np.log(np.arange(1.0, 2001)) ** 3)
    assert f"2,000 rows, {demo.CORES} cores, sum {expected:.3f}" in ran.stdout
    lines = {line.split()[0]: line for line in ran.stdout.splitlines()}
    skipped = [name for name in CASES if "skipped" in lines[name]]
    # All other tools can be missing, and GPUs.
    assert not [name for name in skipped if name.startswith("warpframe") and name != "warpframe-cuda"]
    assert not {"python", "numpy"} & set(skipped)
    for name in CASES:
        pattern = r"skipped: .+" if name in skipped else r"[\d.]+ +[\d.]+ +[\d.]+ - [\d.]+ +[\d.]+x"
        assert re.fullmatch(rf"{name} +{pattern}", lines[name]), lines[name]
    chart = xml.etree.ElementTree.parse(tmp_path / "chart.svg")
    texts = ["".join(text.itertext()) for text in chart.iter("{http://www.w3.org/2000/svg}text")]
    rectangles = chart.iter("{http://www.w3.org/2000/svg}rect")
    bars = [float(rectangle.get("width")) for rectangle in rectangles if rectangle.get("fill") != "white"]
    assert len(bars) == len(CASES) - len(skipped) and min(bars) > 0
    for name in CASES:
        description = demo.CASES[name][0]
        assert any(text == description or text.startswith(f"{description}: skipped") for text in texts), description


def test_the_sum_of_the_published_comparison(demo):
    assert demo.sum_of_cubes(np.arange(1, 10_000_001)) == pytest.approx(34986983045.743, abs=1e-3)


def test_a_wrong_result_ends_the_comparison(demo):
    columns = (np.arange(1.0, 101),) * 3
    right = np.log(columns[0]) ** 3
    expected = demo.sum_of_cubes(columns[0])
    demo.check("case", right, columns, expected, 1)
    with pytest.raises(SystemExit, match="the sum of case is"):
        demo.check("case", right * (1 + 1e-8), columns, expected, 1)
    with pytest.raises(SystemExit, match="99 rows instead of 100"):
        demo.check("case", right[:-1], columns, expected, 1)


def test_wrong_arguments():
    for arguments, message in ((["--cases", "fortran"], "there is no case fortran"), (["--rows", "0"], "must be at least 1")):
        ran = run(*arguments)
        assert ran.returncode == 2 and message in ran.stderr and "Traceback" not in ran.stderr
