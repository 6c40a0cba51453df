"""Processes that tests start."""

import subprocess


class Process(subprocess.Popen):
    """As the standard library's, but a test that fails kills it, instead of waiting for ever."""

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.kill()
        super().__exit__(kind, value, traceback)
