"""Dask distributed, as in the demo: chunks of the rows are scattered, a function is mapped over them, and the results
are gathered. Workers are threads or processes: one, or one per thread."""

import logging

import dask.distributed
import numpy as np
from dask import config

from run import Peer

PACKAGES = ["dask", "distributed", "numpy"]

#: Chunks per worker.
CHUNKS = 4


def log3(x, y, z):
    return np.log(x) * np.log(y) * np.log(z)


def log3_rows(rows):
    return np.log(rows).prod(axis=1)


class Dask(Peer):
    processes = False
    function = staticmethod(log3)

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
        columns = [np.array_split(column, workers * CHUNKS) for column in self.arrange(rows.columns())]
        self.chunks = [self.client.scatter(chunks, hash=False) for chunks in columns]
        dask.distributed.wait([chunk for column in self.chunks for chunk in column])

    def arrange(self, columns):
        return columns

    def mapped(self):
        return self.client.map(self.function, *self.chunks, pure=False)

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
    function = staticmethod(log3_rows)

    def arrange(self, columns):
        return [np.stack(columns, axis=1)]


MODES = {
    "dask-threads-1": ThreadsOne,
    "dask-threads": Dask,
    "dask-processes-1": ProcessesOne,
    "dask-processes": Processes,
    "dask-rows": RowTriples,
}
