#!/usr/bin/env python3
"""Writes log-mel.safetensors: what transformers' WhisperFeatureExtractor makes of made-up sound.

Sound of n samples, exact in f32 anywhere: sample i is (saw + noise) · gain, where saw is ((i · 37) mod 256 − 128) / 512,
noise is (s_i / 2^24 − 0.5) / 64 with s from the generator s = s · 1664525 + 1013904223 mod 2^32 (s_0 = 1, the upper 24 bits
count, first draw for i = 0), and gain is 2^−(2 · (⌊i / 1600⌋ mod 8)). `silence` is zeros.

Keys: `{case}.frames` i64 (K), which frames are kept; `{case}.features` f32 (M, K). A case is named `{n}` or `silence`, then
`.m{M}`, then `.whole` where the sound is not filled up to 30 s. Made with transformers 5.23.0 and torch 2.15.0, numpy 2.4.6.
Tolerance: close.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from transformers import WhisperFeatureExtractor

RATE, HOP = 16_000, 160


def sound(count: int) -> np.ndarray:
    draws, state = np.empty(count, np.int64), 1
    for i in range(count):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        draws[i] = state >> 8
    i = np.arange(count)
    saw = (i * 37 % 256 - 128) / 512
    noise = (draws / 2**24 - 0.5) / 64
    gain = 2.0 ** (-2 * (i // 1600 % 8))
    # One rounding to f32, of a value that f64 holds exactly.
    return ((saw + noise) * gain).astype(np.float32)


def main() -> None:
    golden = {}
    cases = [(str(n), sound(n)) for n in (1, 399, 400, 16_000, 480_000)] + [("silence", np.zeros(16_000, np.float32))]
    for bins in (80, 128):
        extractor = WhisperFeatureExtractor(feature_size=bins)
        for name, samples in cases:
            for whole in (False, True):
                # Without filling up, Whisper's encoder takes even numbers of frames.
                if whole and len(samples) % (2 * HOP) != 0:
                    continue
                padding = "do_not_pad" if whole else "max_length"
                call = extractor(samples, sampling_rate=RATE, padding=padding, return_tensors="np")
                features = call.input_features[0]
                end = min(len(samples) // HOP, features.shape[1] - 1)
                kept = {0, 1, 2, 25, 57, 77, end - 1, end, end + 1, features.shape[1] - 2, features.shape[1] - 1}
                frames = np.array(sorted(f for f in kept if 0 <= f < features.shape[1]), np.int64)
                key = f"{name}.m{bins}" + (".whole" if whole else "")
                golden[f"{key}.frames"] = frames
                golden[f"{key}.features"] = np.ascontiguousarray(features[:, frames], np.float32)
    save_file(golden, Path(__file__).parent / "log-mel.safetensors")


if __name__ == "__main__":
    main()
