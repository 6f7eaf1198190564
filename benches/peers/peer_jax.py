"""JAX: the formula compiled by XLA for the CPU or a GPU."""

import jax
import jax.numpy as jnp
import numpy as np

from run import Peer, Unavailable

PACKAGES = ["jax", "jaxlib"]

jax.config.update("jax_enable_x64", True)


def log3(x, y, z):
    return jnp.log(x) * jnp.log(y) * jnp.log(z)


class Cpu(Peer):
    platform = "cpu"

    def __init__(self, rows, settings):
        try:
            self.device = jax.devices(self.platform)[0]
        except RuntimeError:
            raise Unavailable("JAX finds no GPU") from None
        self._collect = jax.jit(log3)
        self._sum = jax.jit(lambda x, y, z: jnp.sum(log3(x, y, z)))
        self.columns = [jax.device_put(column, self.device) for column in rows.columns()]

    def inputs(self):
        return self.columns

    def collect(self):
        return np.asarray(self._collect(*self.inputs()).block_until_ready())

    def sum(self):
        return self._sum(*self.inputs()).block_until_ready()


class Gpu(Cpu):
    """From host arrays to a host array."""

    platform = "gpu"
    parallel = False

    def __init__(self, rows, settings):
        super().__init__(rows, settings)
        self.columns = rows.columns()

    def inputs(self):
        return [jax.device_put(column, self.device) for column in self.columns]


class Resident(Cpu):
    """With arrays and result in GPU memory."""

    platform = "gpu"
    parallel = False

    def collect(self):
        return self._collect(*self.columns).block_until_ready()


MODES = {"jax": Cpu, "jax-gpu": Gpu, "jax-gpu-resident": Resident}
