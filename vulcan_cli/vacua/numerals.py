"""Numbers in text as Fortran, Mathematica and NumPy write them."""

from __future__ import annotations

import polars as pl


def plain(text: pl.Expr) -> pl.Expr:
    """The same text, also of a whole list, with numbers as every language reads them.

    `1.5D-03` (Fortran), `1.5*^-3` (Mathematica) and `np.float64(0.0015)` (lists of NumPy's
    numbers, printed by Python) become `1.5e-03`, `1.5e-3` and `0.0015`.
    """
    bare = text.str.replace_all(r"np\.\w+\(([^()]*)\)", "${1}")
    # Fortran always writes the point; without one, `1d5` may as well be hexadecimal.
    fortran = bare.str.replace_all(r"([0-9]\.|\.[0-9])([0-9]*)[dD]([+-]?[0-9])", "${1}${2}e${3}")
    return fortran.str.replace_all("*^", "e", literal=True)
