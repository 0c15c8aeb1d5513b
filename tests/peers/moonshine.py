#!/usr/bin/env python3
"""Moonshine tiny English over a folder of speech, with the makers' runtime or with plain onnxruntime.

  moonshine.py makers      SPEECH              PyPI moonshine-voice (its own voice activity detection cuts the sound first)
  moonshine.py onnxruntime SPEECH --model DIR  encoder_model.ort, decoder_model_merged.ort, tokenizer.bin; whole file at once

SPEECH holds transcripts.tsv (file, reference text) and the files. Prints one JSON object: text of every file, word error
rate, real-time factor, peak memory. WER is over lower-cased words without punctuation, by jiwer; punctuation becomes a space
(`wer`), or vanishes (`wer_joined`: "fellow-americans" is then one word).
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np

import measure
from sound import RATE, error_rates, read, resample, rows

START, END = 1, 2
SHORTEST = 895  # samples; the encoder's convolutions give no frame for less
TOKENS_PER_S = 6.5  # the makers' guard against endless repetition


class Makers:
    def __init__(self, options: dict[str, str]) -> None:
        from moonshine_voice.moonshine_api import ModelArch
        from moonshine_voice.transcriber import Transcriber
        from moonshine_voice.utils import get_model_path

        self.transcriber = Transcriber(str(get_model_path("tiny-en")), ModelArch.TINY, options=options or None)

    def transcribe(self, samples: np.ndarray, rate: int) -> list[str]:
        return [line.text for line in self.transcriber.transcribe_without_streaming(samples.tolist(), rate).lines]


class Plain:
    def __init__(self, folder: Path, threads: int) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.encoder, self.decoder = (
            ort.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"])
            for name in ("encoder_model.ort", "decoder_model_merged.ort")
        )
        self.outputs = [output.name for output in self.decoder.get_outputs()]
        # Only the first step gives the encoder's keys and values; later steps give empty tensors in their place.
        self.later = [name for name in self.outputs if ".encoder." not in name]
        self.past = {
            value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
            for value in self.decoder.get_inputs()
            if value.name.startswith("past_key_values.")
        }
        self.pieces = self.read_tokenizer((folder / "tokenizer.bin").read_bytes())

    @staticmethod
    def read_tokenizer(data: bytes) -> list[bytes]:
        """Length-prefixed byte strings in the order of their ids; from 128 on the length takes a second byte."""
        pieces, place = [], 0
        while place < len(data):
            length = data[place]
            place += 1
            if length >= 128:
                length += 128 * data[place] - 128
                place += 1
            pieces.append(data[place : place + length])
            place += length
        return pieces

    def text(self, ids: list[int]) -> str:
        pieces = [self.pieces[i] for i in ids]
        special = lambda piece: len(piece) > 2 and piece[:1] == b"<" and piece[-1:] == b">"  # noqa: E731
        joined = b"".join(piece for piece in pieces if not special(piece))
        return joined.decode("utf-8", "replace").replace("\u2581", " ").strip()

    def transcribe(self, samples: np.ndarray, rate: int) -> list[str]:
        samples = resample(samples, rate)
        limit = math.ceil(len(samples) / RATE * TOKENS_PER_S)
        samples = np.pad(samples, (0, max(0, SHORTEST - len(samples))))[None]
        mask = np.ones(samples.shape, np.int64)
        hidden = self.encoder.run(None, {"input_values": samples, "attention_mask": mask})[0]
        # The decoder's mask is in samples too, whatever its declared shape says: the graph thins it out itself.
        feed = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask, **self.past}
        ids: list[int] = []
        for step in range(limit):
            feed["input_ids"] = np.array([[ids[-1] if ids else START]], np.int64)
            feed["use_cache_branch"] = np.array([step > 0])
            names = self.later if step else self.outputs
            values = dict(zip(names, self.decoder.run(names, feed)))
            token = int(values.pop("logits")[0, -1].argmax())
            if token == END:
                break
            ids.append(token)
            feed |= {name.replace("present.", "past_key_values."): value for name, value in values.items()}
        return [self.text(ids)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runtime", choices=("makers", "onnxruntime"))
    parser.add_argument("speech", type=Path)
    parser.add_argument("--model", type=Path, help="folder of the three files (onnxruntime)")
    parser.add_argument("--threads", type=int, default=2, help="onnxruntime only; the makers' runtime takes its default")
    parser.add_argument("--repeat", type=int, default=5, help="times a file is transcribed; the median counts")
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE for the makers' transcriber")
    args = parser.parse_args()
    if args.runtime == "onnxruntime" and not args.model:
        parser.error("onnxruntime needs --model")

    start = time.perf_counter()
    if args.runtime == "makers":
        engine: Makers | Plain = Makers(dict(option.split("=", 1) for option in args.option))
    else:
        engine = Plain(args.model, args.threads)
    load_ms = 1e3 * (time.perf_counter() - start)

    files, total_s, spent_s, first_ms = [], 0.0, 0.0, 0.0
    for name, _ in rows(args.speech):
        samples, rate = read(args.speech / name)
        seconds, lines = [], []
        for _ in range(args.repeat):
            start = time.perf_counter()
            lines = engine.transcribe(samples, rate)
            seconds.append(time.perf_counter() - start)
            first_ms = first_ms or measure.since_exec_ms()
        median = sorted(seconds)[len(seconds) // 2]
        files.append({"file": name, "seconds": round(len(samples) / rate, 2), "ms": round(1e3 * median, 1), "lines": lines})
        total_s += len(samples) / rate
        spent_s += median
    peak = measure.peak_memory_mib()

    scores = error_rates(args.speech, [" ".join(f["lines"]) for f in files])
    print(
        json.dumps(
            {
                "runtime": args.runtime,
                "files": files,
                **scores,
                "rtf": round(spent_s / total_s, 4),
                "load_ms": round(load_ms, 1),
                "first_answer_ms": round(first_ms, 1),
                "peak_memory_mib": round(peak, 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
