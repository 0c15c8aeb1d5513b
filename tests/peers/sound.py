"""What the speech scripts share: reading, resampling to 16 kHz and the word error rate over a folder of speech.

The folder holds transcripts.tsv (file, reference text) and the files.
"""

import math
import re
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def rows(folder: Path) -> list[list[str]]:
    """File name and reference text, line by line."""
    return [line.split("\t") for line in (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()]


def read(path: Path) -> tuple[np.ndarray, int]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return samples.mean(1), rate


def resample(samples: np.ndarray, rate: int, width: int = 32) -> np.ndarray:
    """Kaiser-windowed sinc with its cut-off at the lower of the two Nyquist rates; one kernel for each phase."""
    if rate == RATE:
        return samples
    common = math.gcd(rate, RATE)
    up, down = RATE // common, rate // common
    cutoff = min(1.0, RATE / rate)
    half = math.ceil(width / cutoff)
    distance = np.arange(-half + 1, half + 1) - (np.arange(up) * down % up / up)[:, None]
    window = np.i0(8.0 * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))) / np.i0(8.0)
    kernels = (cutoff * np.sinc(cutoff * distance) * window).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (half - 1, half)), 2 * half)
    resampled = np.empty(len(samples) * up // down, np.float32)
    for phase, kernel in enumerate(kernels):
        out = resampled[phase::up]
        out[:] = windows[phase * down // up :: down][: len(out)] @ kernel
    return resampled


def words(text: str, punctuation: str) -> str:
    return " ".join(re.sub(r"[^\w\s']", punctuation, text.lower()).split())


def error_rates(folder: Path, texts: list[str]) -> dict[str, float]:
    """Punctuation becomes a space (`wer`), or vanishes (`wer_joined`)."""
    import jiwer  # only here, so that its memory is counted by nobody who measures before

    references = [text for _, text in rows(folder)]
    score = lambda mark: jiwer.wer([words(r, mark) for r in references], [words(t, mark) for t in texts])  # noqa: E731
    return {"wer": round(score(" "), 4), "wer_joined": round(score(""), 4)}
