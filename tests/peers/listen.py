#!/usr/bin/env python3
"""How fast `bevel listen` is on this machine, and what it costs while nobody speaks.

  listen.py BEVEL BUNDLE SPEECH [--repeat 5] [--threads 2] [--idle 20]

SPEECH holds short clips spk1_snt*.wav (16 kHz, 16 bits, one channel) and transcripts.tsv. They are played one after
another, as fast as they were spoken, with a second of silence between, into standard input. Prints one JSON object: p50 and
p95 in milliseconds from the decided end of speech to its text and from the last voiced window, as `listen --json` tells them,
and as it is seen from outside (`seen`: from the last sample that is louder than a hundredth of the clip's peak to the line on
standard output); the word error rate; how many partial texts there were; and the share of one core that goes into
`--idle` seconds of digital silence and of faint noise.
"""

import argparse
import json
import os
import subprocess
import threading
import time
import wave
from pathlib import Path

import jiwer
import numpy as np

from sound import rows, words

RATE = 16_000
BLOCK = 320


def percentiles(seconds: list[float]) -> dict[str, float]:
    p50, p95 = np.percentile(seconds, [50, 95])
    return {"p50": round(1e3 * p50, 1), "p95": round(1e3 * p95, 1)}


class Listen:
    def __init__(self, bevel: str, bundle: str, threads: int) -> None:
        command = [bevel, "listen", bundle, "--input", "-", "--json", "--threads", str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False
        )
        # Its note that it listens: the model is loaded.
        self.process.stderr.readline()
        self.events: list[tuple[float, dict]] = []
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def play(self, samples: np.ndarray) -> float:
        """Writes samples when they are due; answers when the first one was."""
        begun = time.monotonic()
        for at in range(0, len(samples), BLOCK):
            block = samples[at : at + BLOCK]
            wait = begun + (at + len(block)) / RATE - time.monotonic()
            time.sleep(max(wait, 0))
            self.process.stdin.write(block.astype("<i2").tobytes())
            self.process.stdin.flush()
        return begun

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.reader.join()


def idle(listen: Listen, samples: np.ndarray) -> float:
    listen.play(samples[:RATE])
    before, begun = listen.cpu_s(), time.monotonic()
    listen.play(samples)
    return round((listen.cpu_s() - before) / (time.monotonic() - begun), 4)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("bevel")
    parser.add_argument("bundle")
    parser.add_argument("speech", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--idle", type=float, default=20)
    args = parser.parse_args()

    clips = sorted(args.speech.glob("spk1_snt*.wav")) * args.repeat
    references = dict(rows(args.speech))
    silence = np.zeros(RATE)
    parts, ends, total = [silence], [], RATE
    for clip in clips:
        with wave.open(str(clip)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2), clip
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        loud = np.flatnonzero(np.abs(samples) > np.abs(samples).max() / 100)
        ends.append((total + loud[-1]) / RATE)
        parts += [samples, silence]
        total += len(samples) + RATE
    listen = Listen(args.bevel, args.bundle, args.threads)
    begun = listen.play(np.concatenate(parts))
    noise = np.random.default_rng(1).normal(0, 30, int(args.idle * RATE))
    shares = {"silence": idle(listen, np.zeros(int(args.idle * RATE))), "noise": idle(listen, noise)}
    listen.close()

    finals = [(at, event) for at, event in listen.events if event["event"] == "final"]
    seen = []
    for end in ends:
        after = [at - begun - end for at, event in finals if event["start"] < end <= event["end"] + 0.5]
        seen += after[-1:]
    texts = " ".join(event["text"] for _, event in finals)
    expected = " ".join(references[clip.name] for clip in clips)
    latency = [event["latency"] for _, event in finals]
    print(
        json.dumps(
            {
                "utterances": len(clips),
                "finals": len(finals),
                "partials": sum(event["event"] == "partial" for _, event in listen.events),
                "other": [event for _, event in listen.events if event["event"] in ("dropped", "error", "empty")],
                "after_decision_ms": percentiles([l["after_decision"] for l in latency]),
                "after_speech_ms": percentiles([l["after_speech"] for l in latency]),
                "seen_ms": percentiles(seen),
                "wer": round(jiwer.wer(words(expected, " "), words(texts, " ")), 4),
                "idle_share_of_a_core": shares,
            }
        )
    )


if __name__ == "__main__":
    main()
