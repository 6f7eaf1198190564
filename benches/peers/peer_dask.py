"""Dask distributed, as in the demo: chunks of the rows are scattered, a function of NumPy arrays is mapped over them, and the
results are gathered. Workers are threads or processes: one, or one per thread. A condition selects the values of the columns of
a chunk by a Boolean mask first."""

import logging

import dask.distributed
import numpy as np
from dask import config

from formula import NUMPY
from run import Peer

PACKAGES = ["dask", "distributed", "numpy"]

#: Chunks per worker.
CHUNKS = 4


def chunk_function(query):
    """The function of the columns of a chunk, in the order of the query."""
    formula = query.formula.function(NUMPY, {"np": np})
    condition = query.filter and query.filter.function(NUMPY, {"np": np})
    names, of_formula = query.columns, query.formula.columns
    of_condition = query.filter.columns if condition else []

    def evaluate(*columns):
        columns = dict(zip(names, columns))
        values = [columns[name] for name in of_formula]
        if condition:
            mask = condition(*(columns[name] for name in of_condition))
            values = [column[mask] for column in values]
        return formula(*values)

    return evaluate


class Dask(Peer):
    processes = False

    def __init__(self, rows, settings):
        # Hides warnings about large arguments, and about data that is lost at shutdown.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
        workers = settings["threads"] if self.parallel else 1
        self.client = dask.distributed.Client(
            n_workers=workers if self.processes else 1,
            threads_per_worker=1 if self.processes else workers,
            processes=self.processes,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
        self.parts = workers * CHUNKS
        self.load(rows.columns())

    def load(self, columns):
        self.chunks = {name: self.scatter(column) for name, column in columns.items()}
        dask.distributed.wait([chunk for chunks in self.chunks.values() for chunk in chunks])

    def scatter(self, array):
        return self.client.scatter(np.array_split(array, self.parts), hash=False)

    def prepare(self, query):
        self.function = chunk_function(query)
        self.arguments = [self.chunks[name] for name in query.columns]

    def mapped(self):
        return self.client.map(self.function, *self.arguments, pure=False)

    def collect(self):
        return np.concatenate(self.client.gather(self.mapped()))

    def sum(self):
        return sum(self.client.gather(self.client.map(np.sum, self.mapped(), pure=False)))

    def close(self):
        self.client.shutdown()


class ThreadsOne(Dask):
    parallel = False


class ProcessesOne(ThreadsOne):
    processes = True


class Processes(Dask):
    processes = True


class RowTriples(Processes):
    """Chunks of shape (rows, columns)."""

    def load(self, columns):
        self.positions = {name: position for position, name in enumerate(columns)}
        self.chunks = self.scatter(np.stack(list(columns.values()), axis=1))
        dask.distributed.wait(self.chunks)

    def prepare(self, query):
        evaluate, positions = chunk_function(query), [self.positions[name] for name in query.columns]
        self.function = lambda rows: evaluate(*(rows[:, position] for position in positions))
        self.arguments = [self.chunks]


MODES = {
    "dask-threads-1": ThreadsOne,
    "dask-threads": Dask,
    "dask-processes-1": ProcessesOne,
    "dask-processes": Processes,
    "dask-rows": RowTriples,
}
