"""How long work tells what it has done."""

from collections.abc import Callable

#: progress(done, total, what): so many of so many steps of that name are done.
Progress = Callable[[int, int, str], None]
