"""A quarter of a second of speech from 22.05 kHz to 16 kHz and to 48 kHz, by scipy.

    pip install scipy soundfile safetensors && python make.py SPEECH_DIR   # shared/data/speech

The speech is limited to 6.5 kHz first: filters differ just below the limit of 8 kHz, and this is about
everything else. scipy's filter is sharper than its default: Kaiser 12, 96 taps a side.
Writes resample.safetensors: `input`, `to_16000`, `to_48000`, f32.
"""
import math, pathlib, sys
import numpy as np, soundfile as sf
from safetensors.numpy import save_file
from scipy.signal import firwin, resample_poly

x, rate = sf.read(sys.argv[1] + "/LJ050-0131.wav", dtype="float64")
assert rate == 22050
x = x[22050 * 2 : 22050 * 2 + 22050 // 4]
x = np.convolve(x, firwin(401, 6500, fs=22050, window=("kaiser", 12.0)), "same")
x *= np.hanning(len(x))  # no click at the ends
out = {"input": x.astype("float32")}
for to in (16000, 48000):
    g = math.gcd(rate, to)
    up, down = to // g, rate // g
    most = max(up, down)
    h = firwin(2 * 96 * most + 1, 0.97 / most, window=("kaiser", 12.0))
    out[f"to_{to}"] = resample_poly(x, up, down, window=h).astype("float32")
    print(to, len(out[f"to_{to}"]))
save_file(out, pathlib.Path(__file__).parent / "resample.safetensors")
