"""The base of immutable values: what they are is said here once, where no compiler can lose it.

Some modules are compiled when a wheel is made (see hatch_build.py). Their classes keep what they inherit, while
keywords of the class statement itself are dropped: `frozen=True` beside the base is for type checkers.
"""

import msgspec


class Frozen(msgspec.Struct, frozen=True):
    """An immutable value."""
