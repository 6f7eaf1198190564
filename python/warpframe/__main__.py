"""`python -m warpframe`: the `warpframe` command."""

import sys

from ._command import run

sys.exit(run([]))
