"""Numbers as the page writes them."""

import math


def decimals(value: float | None) -> int:
    """Decimals that show three significant digits of `value`, 0 to 6."""
    if value is None or not math.isfinite(value) or value == 0:
        return 3
    return min(6, max(0, 2 - math.floor(math.log10(abs(value)))))


def number(value, percent: bool = False, places: int | None = None) -> str:
    """A score in text: three significant digits, 'undefined' for None or NaN.

    Args:
      value: a number, None or NaN.
      percent: times 100 with one decimal (three digits below 1 %) and a percent sign.
      places: decimals, where several numbers are to agree; ignored for percentages.
    """
    if value is None or not math.isfinite(value):
        return 'undefined'
    if percent:
        text = f'{100 * value:.{1 if abs(value) >= 0.01 or not value else decimals(100 * value)}f}'
        return f'{"100" if text == "100.0" else text} %'
    if value and places is None and not 1e-6 <= abs(value) < 1e6:
        return f'{value:.2e}'
    text = f'{value:.{decimals(value) if places is None else places}f}'
    return '0' + text[2:] if float(text) == 0 and text.startswith('-0') else text


def interval(entry: dict, percent: bool = False) -> str:
    """ci95 of an entry, both ends with the same decimals, or 'no interval'."""
    ci = entry.get('ci95')
    if not ci or ci[0] is None or ci[1] is None:
        return 'no interval'
    places = decimals(max(map(abs, ci)))
    low, high = (number(x, percent, places) for x in ci)
    return f'{low.removesuffix(" %")} to {high}'


def p_text(entry: dict, brief: bool = False) -> str:
    """The p of an entry: 'p = 0.042', 'p = 0.001, the smallest possible' or 'p not tested'.

    Args:
      entry: 'p', and 'permutations', whose smallest possible p is 1 / (1 + permutations).
      brief: 'p ≤ 0.001' for the smallest possible one, rounded up so that it stays true.
    """
    p, permutations = entry.get('p'), entry.get('permutations')
    if p is None:
        return 'p not tested'
    places = 3 if p >= 0.0005 else math.ceil(-math.log10(p) - 0.01)
    least = bool(permutations) and abs(p * (1 + permutations) - 1) < 1e-3
    if least and brief:
        return f'p ≤ {math.ceil(p * 10**places - 1e-9) / 10**places:.{places}f}'
    return f'p = {p:.{places}f}' + (', the smallest possible' if least else '')


def duration(seconds) -> str:
    """Seconds in words that a person uses."""
    if seconds is None:
        return 'unknown'
    if seconds < 90:
        return f'{seconds:.1f} s'
    return f'{seconds / 60:.1f} min' if seconds < 5400 else f'{seconds / 3600:.1f} h'


def memory(megabytes) -> str:
    """Peak memory in MB or GB."""
    if megabytes is None:
        return 'unknown'
    return f'{megabytes:.0f} MB' if megabytes < 1000 else f'{megabytes / 1024:.1f} GB'
