"""What a process that has started spares Python's garbage collector, which would stop it for it again and again."""

import gc

PYTHONS_THRESHOLDS = (700, 2000)  # up to 3.12, and since


def spare_what_stays() -> None:
    """Modules, rules, statements: what is there by now stays for good, and looking through it takes fifty milliseconds at a
    time. What comes and goes is looked through less often than Python's own default has it (each seven hundred objects, which
    is every few requests), where nobody has chosen another.
    """
    gc.collect()
    gc.freeze()
    if gc.get_threshold()[0] in PYTHONS_THRESHOLDS:
        gc.set_threshold(10_000, *gc.get_threshold()[1:])
