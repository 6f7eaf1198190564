"""JAX: the formula compiled by XLA for the CPU or a GPU. Compiled functions have results of fixed shapes: a mask selects the
values of the columns first; in a sum, the formula is replaced by 0 in the rows that do not meet the condition."""

import jax
import jax.numpy as jnp
import numpy as np

from formula import JAX
from run import Peer, Unavailable

PACKAGES = ["jax", "jaxlib"]

jax.config.update("jax_enable_x64", True)


class Cpu(Peer):
    platform = "cpu"

    def __init__(self, rows, settings):
        try:
            self.device = jax.devices(self.platform)[0]
        except RuntimeError:
            raise Unavailable("JAX finds no GPU") from None
        self.columns = {name: self.place(column) for name, column in rows.columns().items()}

    def place(self, column):
        return jax.device_put(column, self.device)

    def prepare(self, query):
        self.query = query
        formula = query.formula.function(JAX, {"jnp": jnp})
        condition = query.filter and query.filter.function(JAX, {"jnp": jnp})
        self._formula, self._condition = jax.jit(formula), condition and jax.jit(condition)

        def total(columns):
            results = formula(*(columns[name] for name in query.formula.columns))
            if condition:
                results = jnp.where(condition(*(columns[name] for name in query.filter.columns)), results, 0.0)
            return jnp.sum(results)

        self._sum = jax.jit(total)

    def inputs(self):
        return {name: self.columns[name] for name in self.query.columns}

    def evaluate(self):
        columns = self.inputs()
        values = [columns[name] for name in self.query.formula.columns]
        if self._condition:
            mask = self._condition(*(columns[name] for name in self.query.filter.columns))
            values = [column[mask] for column in values]
        return self._formula(*values).block_until_ready()

    def collect(self):
        return np.asarray(self.evaluate())

    def sum(self):
        return self._sum(self.inputs()).block_until_ready()


class Gpu(Cpu):
    """From host arrays to a host array."""

    platform = "gpu"
    parallel = False

    def place(self, column):
        return column

    def inputs(self):
        return {name: jax.device_put(column, self.device) for name, column in super().inputs().items()}


class Resident(Cpu):
    """With arrays and result in GPU memory."""

    platform = "gpu"
    parallel = False

    def collect(self):
        return self.evaluate()


MODES = {"jax": Cpu, "jax-gpu": Gpu, "jax-gpu-resident": Resident}
