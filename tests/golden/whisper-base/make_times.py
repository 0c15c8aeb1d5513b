#!/usr/bin/env python3
"""Writes times.json: what openai-whisper makes of the clips in shared/data/speech with Whisper base in fp32.

  make_times.py CT2 SPEECH    # CT2 as for make.py

Only the clips of 16 kHz, so that no resampler stands between; and `joined`, all of them twice with half a second of silence
between, which is longer than the window. For each, whole and without a voice activity detector: the language that is
heard, and the segments of `transcribe` with times (temperature 0, no text before, English); of single clips also the words of
`timing.find_alignment` for the tokens of greedy.json. `transcribe` fills windows up with zeros in the log-mel spectrogram;
here, as in transformers, with what silence gives. Made with openai-whisper 20250625 and torch 2.15.0.
"""

import json
import sys
from pathlib import Path

import torch
from whisper import _ALIGNMENT_HEADS
from whisper.audio import N_FRAMES, N_SAMPLES, log_mel_spectrogram, pad_or_trim
from whisper.model import ModelDimensions, Whisper
from whisper.timing import find_alignment, merge_punctuations
from whisper.tokenizer import get_tokenizer

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "peers"))

import whisper as _openai  # noqa: E402, F401  the package, before the peer script of the same name

import importlib.util  # noqa: E402

transcribe = importlib.import_module("whisper.transcribe")

from sound import read  # noqa: E402

spec = importlib.util.spec_from_file_location("peer_whisper", HERE.parents[1] / "peers" / "whisper.py")
peer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(peer)

NAMES = [
    ("model.", ""),
    ("encoder.layers.", "encoder.blocks."),
    ("decoder.layers.", "decoder.blocks."),
    ("self_attn_layer_norm", "attn_ln"),
    ("encoder_attn_layer_norm", "cross_attn_ln"),
    ("final_layer_norm", "mlp_ln"),
    ("self_attn.", "attn."),
    ("encoder_attn.", "cross_attn."),
    ("q_proj", "query"),
    ("k_proj", "key"),
    ("v_proj", "value"),
    ("out_proj", "out"),
    ("fc1", "mlp.0"),
    ("fc2", "mlp.2"),
    ("encoder.layer_norm", "encoder.ln_post"),
    ("decoder.layer_norm", "decoder.ln"),
    ("decoder.embed_tokens", "decoder.token_embedding"),
    ("embed_positions.weight", "positional_embedding"),
]


def load(folder: Path) -> Whisper:
    state = {}
    for name, value in peer.state_dict(peer.tensors(folder / "model.bin")).items():
        for old, new in NAMES:
            name = name.replace(old, new)
        state[name] = value
    model = Whisper(ModelDimensions(80, 1500, 512, 8, 6, 51865, 448, 512, 8, 6))
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    model.set_alignment_heads(_ALIGNMENT_HEADS["base"])
    return model.eval()


def fill(mel: torch.Tensor):
    """Windows as transformers has them: the first is `mel`, later ones end in silence."""

    def window(cut: torch.Tensor, length: int) -> torch.Tensor:
        frames = cut.shape[-1]
        if torch.equal(cut, mel[:, :frames]):
            return mel
        return torch.nn.functional.pad(cut, (0, length - frames), value=float(mel.min()))

    return window


model = load(Path(sys.argv[1]))
tokenizer = get_tokenizer(True, num_languages=99, language="en", task="transcribe")
speech = Path(sys.argv[2])
greedy = json.loads((HERE / "greedy.json").read_text())["files"]
clips = {name: torch.from_numpy(read(speech / name)[0]) for name in greedy if name.startswith("spk1")}
half = torch.zeros(8000)
clips["joined"] = torch.cat([part for clip in clips.values() for part in (clip, half)] * 2)[:-8000]
answer = {}
for name, samples in clips.items():
    mel = pad_or_trim(log_mel_spectrogram(samples, padding=N_SAMPLES), N_FRAMES)
    _, languages = model.detect_language(mel)
    language = max(languages, key=languages.get)
    transcribe.pad_or_trim = fill(mel)
    found = model.transcribe(samples, language="en", temperature=0.0, condition_on_previous_text=False, fp16=False)
    entry = {
        "language": language,
        "probability": round(languages[language], 4),
        "segments": [[round(s["start"], 2), round(s["end"], 2), s["text"].strip()] for s in found["segments"]],
    }
    if name in greedy:
        frames = min(len(samples), N_SAMPLES) // 160
        words = find_alignment(model, tokenizer, greedy[name]["ids"], mel, frames)
        merge_punctuations(words, "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、")
        entry["words"] = [
            [w.word.strip(), round(w.start, 2), round(w.end, 2), round(float(w.probability), 4)] for w in words if w.word.strip()
        ]
    answer[name] = entry
lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in answer.items()]
text = '{\n "files": {\n%s\n }\n}\n' % ",\n".join(lines)
json.loads(text)
(HERE / "times.json").write_text(text)
