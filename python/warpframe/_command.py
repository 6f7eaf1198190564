"""The `warpframe` command, as the console script and as `python -m warpframe`."""

import os
import signal
import sys

from ._warpframe import run_command

# The options of the interpreter that decide where it finds packages, and their names in sys.flags.
_PATH_OPTIONS = (
    ("-I", "isolated"),
    ("-E", "ignore_environment"),
    ("-s", "no_user_site"),
    ("-P", "safe_path"),
)


def main() -> int:
    """Run the command of the console script, and return the exit code of this process."""
    # Unlike `python -m`, a console script does not find packages in the working directory; nor may its child processes.
    return run(["-P"])


def run(options: list[str]) -> int:
    """Run the command that `sys.argv` names, and return the exit code of this process.

    Parameters
    ----------
    options
        Options of the Python interpreter for child processes, in addition to those of this process that decide where
        packages are found.
    """
    # Python's handler would only note Ctrl-C until `run_command` returns. An ignored signal stays ignored, as under nohup.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = []
    if sys.executable:
        # The external tools of a comparison are those of this environment, unless the user names another one.
        os.environ.setdefault("WARPFRAME_PYTHON", sys.executable)
        options = [option for option, flag in _PATH_OPTIONS if getattr(sys.flags, flag)] + options
        program = [sys.executable, *options, "-m", "warpframe"]
    return run_command(sys.argv[1:], program)
