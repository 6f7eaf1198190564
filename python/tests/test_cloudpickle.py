"""Functions of a main program or a notebook in the processes of Dask, which have another main program."""

import subprocess
import sys

import pytest

pytest.importorskip("cloudpickle")

DEFINITIONS = """
import pickle, sys
import cloudpickle
import numpy as np
import warpframe as wf

scale = 2.0

@wf.function
def double(a):
    return a * scale

@wf.function(name="other", backend="interpreted")
def added(a, b=1):
    return double(a) + b
"""


def run(code, *, input=b""):
    ran = subprocess.run([sys.executable, "-c", code], input=input, capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


@pytest.mark.parametrize("pickler", ["pickle", "cloudpickle"])
def test_functions_of_main_are_pickled_by_value(pickler):
    pickled = run(DEFINITIONS + f"sys.stdout.buffer.write({pickler}.dumps([added, double]))")
    code = "import pickle, sys; f, g = pickle.loads(sys.stdin.buffer.read()); "
    code += "import numpy as np; print(f(np.array([1.0, 2.0])), f.name, f.backend, g(4.0), g.name)"
    assert run(code, input=pickled).decode() == "[3. 5.] other interpreted 8.0 double\n"


def test_functions_without_a_name_too():
    pickled = run(DEFINITIONS + "sys.stdout.buffer.write(cloudpickle.dumps(wf.function(lambda a: double(a) + 1)))")
    code = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())(4.0))"
    assert run(code, input=pickled).decode() == "9.0\n"


def test_a_process_with_the_same_main_program_uses_its_function():
    assert run(DEFINITIONS + "print(pickle.loads(pickle.dumps(double)) is double)").decode() == "True\n"


def test_processes_of_dask():
    pytest.importorskip("distributed")
    code = DEFINITIONS + """
if __name__ == "__main__":
    from dask.distributed import Client
    with Client(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as client:
        print(client.gather(client.map(added, [np.array([1.0]), np.array([2.0])])))
"""
    assert run(code).decode() == "[array([3.]), array([5.])]\n"
