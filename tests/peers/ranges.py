#!/usr/bin/env python3
"""Ranges of activations with numpy and scipy: what converters/convert/src/quantize/range.rs is tested against.

Prints, for two distributions, the range that each method should choose. The elements are calculated in f32 the same
way there and here; percentiles are those of the elements themselves, not of a histogram.
"""

import numpy as np
from scipy.stats import entropy

BINS = 4096  # over -reach .. reach, the least power of two that holds all elements
PARTS = np.arange(32, 0, -1, dtype=np.float32) / np.float32(32)


def uniform(count: int) -> np.ndarray:
    state, out = 1, np.empty(count, np.float32)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = (state >> 8) / 2**24
    return out


def elements(kind: str) -> np.ndarray:
    u = uniform(80000).reshape(-1, 4)
    x = u[:, 0] + u[:, 1] + u[:, 2] + u[:, 3] - np.float32(2)  # nearly normal, within ±2
    if kind == "tailed":
        return x * x * x
    return np.maximum(x + np.float32(0.25), 0)  # "relu"


def percentile(x: np.ndarray, percent: float) -> tuple[float, float]:
    """Elements, not something between two of them, so that the same share lies outside of both ends."""
    outside = 100 - percent
    low, high = (np.percentile(y, outside, method="inverted_cdf") for y in (x, -x))
    return min(low, 0), max(-high, 0)


def rounded(x: np.ndarray, low: float, high: float) -> np.ndarray:
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    return (np.clip(np.rint(x / scale) + zero, 0, 255) - zero) * scale


def squared_error(x: np.ndarray, low: float, high: float) -> float:
    return float(np.mean((rounded(x, low, high) - x) ** 2))


def divergence(x: np.ndarray, low: float, high: float) -> float:
    reach = 2.0 ** np.ceil(np.log2(np.abs(x).max()))
    edges = np.linspace(-reach, reach, BINS + 1)
    counts = np.histogram(x, edges)[0].astype(float)
    counts[BINS // 2] = counts[BINS // 2 + 1]  # the peak at zero takes no part
    middles = (edges[1:] + edges[:-1]) / 2
    if high - low < 256 * (edges[1] - edges[0]):
        return np.inf
    inside = (middles >= low) & (middles <= high) & (counts > 0)
    p = np.where(inside, counts, 0)
    ends = np.flatnonzero(inside)
    p[ends[0]] += counts[: ends[0]].sum()
    p[ends[-1]] += counts[ends[-1] + 1 :].sum()
    codes = np.rint(rounded(middles, low, high) / ((high - low) / 255)).astype(int)
    q = np.zeros_like(p)
    for code in np.unique(codes[inside]):
        here = inside & (codes == code)
        q[here] = counts[here].mean()
    return float(entropy(p[inside], q[inside]))


def narrowed(x: np.ndarray, loss) -> tuple[float, float]:
    low, high = min(x.min(), 0), max(x.max(), 0)
    high = high * PARTS[np.argmin([loss(x, low, high * part) for part in PARTS])]
    if low < 0:
        low = low * PARTS[np.argmin([loss(x, low * part, high) for part in PARTS])]
    return low, high


def main() -> None:
    for kind in ("tailed", "relu"):
        x = elements(kind)
        found = {
            "min-max": (x.min(), x.max()),
            "percentile 99": percentile(x, 99),
            "percentile 99.9": percentile(x, 99.9),
            "mse": narrowed(x, squared_error),
            "entropy": narrowed(x, divergence),
        }
        for method, (low, high) in found.items():
            print(f"{kind:8} {method:16} {low:.6f} {high:.6f}")


if __name__ == "__main__":
    main()
