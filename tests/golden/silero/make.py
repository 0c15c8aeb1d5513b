"""Silero's own segmentation of real speech: probabilities and the spans made of them.

    pip install silero-vad==6.2.3 onnxruntime==1.28.0 scipy soundfile safetensors torch
    python make.py SPEECH_DIR MOONSHINE_ASSETS   # shared/data/speech, and the folder of two_cities.wav

Writes silero.safetensors: `NAME.probabilities` f32 [W], `NAME.samples` i64 [1] and, per parameter set,
`NAME.SET.spans` i64 [N, 2] in samples at 16 kHz.
"""
import math, sys
import numpy as np, soundfile as sf, torch
from safetensors.numpy import save_file
from scipy.signal import resample_poly
from silero_vad.utils_vad import OnnxWrapper, get_speech_timestamps_from_probs
import silero_vad, pathlib

SETS = {
    "default": {},
    "moonshine": dict(min_silence_duration_ms=500, speech_pad_ms=400),
    "eager": dict(threshold=0.8, min_silence_duration_ms=32, speech_pad_ms=0, min_speech_duration_ms=50),
    "max10": dict(min_silence_duration_ms=800, max_speech_duration_s=10),
}
model = OnnxWrapper(str(pathlib.Path(silero_vad.__file__).parent / "data/silero_vad.onnx"), force_onnx_cpu=True)
out = {}
for name, path in {
    "jfk": sys.argv[1] + "/jfk.flac", "lj": sys.argv[1] + "/LJ050-0131.wav",
    "beckett": sys.argv[2] + "/beckett.wav", "cities": sys.argv[2] + "/two_cities.wav",
}.items():
    x, rate = sf.read(path, dtype="float32", always_2d=True)
    x = x.mean(1)
    g = math.gcd(rate, 16000)
    if rate != 16000:
        x = resample_poly(x, 16000 // g, rate // g).astype("float32")
    model.reset_states()
    p = model.audio_forward(torch.from_numpy(x)[None], 16000)[0].numpy().astype("float32")
    out[f"{name}.probabilities"] = p
    out[f"{name}.samples"] = np.array([len(x)], dtype="int64")
    for s, parameters in SETS.items():
        spans = get_speech_timestamps_from_probs([float(v) for v in p], audio_length_samples=len(x), **parameters)
        out[f"{name}.{s}.spans"] = np.array([[t["start"], t["end"]] for t in spans], dtype="int64").reshape(-1, 2)
        print(name, s, out[f"{name}.{s}.spans"].tolist())
save_file(out, pathlib.Path(__file__).parent / "silero.safetensors")
