"""numexpr: the formula, evaluated in blocks that fit into the cache, on all threads."""

import numexpr as ne

from run import Peer

PACKAGES = ["numexpr"]


class NumExpr(Peer):
    def __init__(self, rows, settings):
        ne.set_num_threads(settings["threads"])
        self.columns = dict(zip("xyz", rows.columns()))

    def collect(self):
        return ne.evaluate("log(x) * log(y) * log(z)", local_dict=self.columns)

    def sum(self):
        return self.collect().sum()


MODES = {"numexpr": NumExpr}
