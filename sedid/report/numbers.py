"""Figures as texts, the same in pages and documents."""

from collections.abc import Mapping, Sequence


def cell(value: float | None) -> str:
    """A metric with three decimals, n/a where the images cannot resolve it."""
    return "n/a" if value is None else f"{value:.3f}"


def between(interval: Sequence[float] | None, digits: int = 3) -> str:
    """An interval in words."""
    return "n/a" if interval is None else f"{interval[0]:.{digits}f} to {interval[1]:.{digits}f}"


def with_interval(value: float | None, interval: Sequence[float] | None) -> str:
    """A metric and its 95 % interval, if it has one: 0.812 (0.790 to 0.833)."""
    return cell(value) + (f" ({between(interval)})" if interval and value is not None else "")


def percent(value: float, digits: int = 0) -> str:
    """A share as percent."""
    return f"{value:.{digits}%}"


def p_value(value: float) -> str:
    """A p-value in few characters."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def counted(counts: Mapping[str, int]) -> str:
    """How many images of what: 400 real, 400 generated, 200 test real."""
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
