"""A list of measured values, and how it is shown: the median, then the lowest and the highest."""
import statistics


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def plain(values, unit, digits=1):
    if not values:
        return "-"
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} {unit} ({low} to {high})" if len(values) > 1 else f"{middle} {unit}"


def percent(ratios):
    """Ratios to the storm alone, as a slowdown."""
    if not ratios:
        return "-"
    low, middle, high = (f"{(value - 1) * 100:+.1f}" for value in
                         (min(ratios), statistics.median(ratios), max(ratios)))
    return f"{middle} % ({low} to {high})" if len(ratios) > 1 else f"{middle} %"
