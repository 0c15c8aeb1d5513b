#!/usr/bin/env python3
"""Bevel against faster-whisper and the makers' Moonshine, in turns in one run, on 2 threads.

  speech.py --bevel target/release/bevel --whisper WHISPER.bevel --ct2 CT2 --moonshine moonshine-tiny --speech SPEECH

Every engine is one process a round that has loaded before its clock runs and hears the first file twice: the first time does
not count. A time is from one answer to the next, so reading, resampling and voice activity detection are in it; medians over
the rounds count. `ms` is what Bevel itself says. Parts (--part, may be repeated; all when not given):

- whisper: faster-whisper in int8, one beam, no timestamps, English told, on 11 s, on 30 s and on the clips under 4 s; word
  error rates over transcripts.tsv
- moonshine: real-time factors over the same files, and word error rates
- load: the constructor of faster-whisper, its import not counted, and `bevel bench`
- memory: peak of a process that hears an hour, and of one that hears a minute of the same
- quiet: ten minutes each of silence, noise, a tone and chords, which should give no text

SPEECH holds transcripts.tsv (file, reference text) and the files. Prints one JSON object.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = ("whisper", "moonshine", "load", "memory", "quiet")
SHORT_S = 4.0


# Workers: processes of their own, so that what they import is counted by nobody else. One JSON object a line.


def say(**values: object) -> None:
    print(json.dumps(values), flush=True)


def work_whisper(ct2: str, threads: str, *files: str) -> None:
    from faster_whisper import WhisperModel

    start = time.perf_counter()
    model = WhisperModel(ct2, device="cpu", compute_type="int8", cpu_threads=int(threads))
    say(load_ms=1e3 * (time.perf_counter() - start))
    for file in files:
        segments, _ = model.transcribe(file, beam_size=1, without_timestamps=True, language="en")
        say(text="".join(segment.text for segment in segments).strip())


def work_moonshine(*files: str) -> None:
    from moonshine import Makers
    from sound import read

    start = time.perf_counter()
    engine = Makers({})
    say(load_ms=1e3 * (time.perf_counter() - start))
    for file in files:
        say(text=" ".join(engine.transcribe(*read(Path(file)))))


def work_lengths(*files: str) -> None:
    import soundfile

    for file in files:
        say(seconds=soundfile.info(file).duration)


def work_cut(source: str, seconds: str, out: str) -> None:
    import soundfile

    samples, rate = soundfile.read(source)
    soundfile.write(out, samples[: int(float(seconds) * rate)], rate)


def work_repeat(speech: str, seconds: str, out: str) -> None:
    """The recordings with half a second between them, again and again."""
    import numpy as np
    import soundfile
    from sound import RATE, read, resample, rows

    pause = np.zeros(RATE // 2, np.float32)
    turn = np.concatenate([part for name, _ in rows(Path(speech)) for part in (resample(*read(Path(speech) / name)), pause)])
    missing = int(float(seconds) * RATE)
    with soundfile.SoundFile(out, "w", RATE, 1, "PCM_16") as file:
        while missing > 0:
            file.write(turn[:missing])
            missing -= len(turn)


def work_quiet(kind: str, seconds: str, out: str) -> None:
    import numpy as np
    import soundfile
    from sound import RATE

    t = np.arange(int(float(seconds) * RATE)) / RATE
    if kind == "silence":
        samples = np.zeros(len(t))
    elif kind == "noise":
        samples = np.random.default_rng(1).normal(0, 0.1, len(t)).clip(-1, 1)
    elif kind == "tone":
        samples = 0.3 * np.sin(2 * np.pi * 440 * t)
    else:  # C, A minor, F, G: two seconds each, with overtones that fade away
        chords = np.array([[261.63, 329.63, 392.0], [220.0, 261.63, 329.63], [174.61, 220.0, 261.63], [196.0, 246.94, 293.66]])
        played = chords[(t // 2).astype(int) % 4]
        fade = np.exp(-1.5 * (t % 2))
        samples = sum(fade * 0.12 / k * np.sin(2 * np.pi * k * played[:, note] * t) for note in range(3) for k in (1, 2, 3))
    soundfile.write(out, samples, RATE, "PCM_16")


WORK = {
    "whisper": work_whisper,
    "moonshine": work_moonshine,
    "lengths": work_lengths,
    "cut": work_cut,
    "repeat": work_repeat,
    "quiet": work_quiet,
}


def worker(python: str, kind: str, *arguments: object) -> list[str]:
    return [python, __file__, "--work", kind, *map(str, arguments)]


# The driver.


def answers(command: list[str]) -> tuple[list[tuple[float, dict]], float, float]:
    """(seconds since the answer before, answer) for every line; peak memory in MiB; seconds in all."""
    found = []
    start = before = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        now = time.perf_counter()
        found.append((now - before, json.loads(line)))
        before = now
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"exit {process.returncode}: {' '.join(command)}")
    return found, usage.ru_maxrss / 1024, time.perf_counter() - start


def prepare(kind: str, *arguments: object) -> list[dict]:
    return [answer for _, answer in answers(worker(sys.executable, kind, *arguments))[0]]


class Runs:
    """One engine over some files, round after round."""

    def __init__(self, command: list[str], files: list[Path], loads: bool) -> None:
        self.command = [*command, *map(str, [files[0], *files])]
        self.files, self.loads = files, loads
        self.seconds: dict[Path, list[float]] = {file: [] for file in files}
        self.own_ms: dict[Path, list[float]] = {file: [] for file in files}
        self.texts: dict[Path, str] = {}
        self.load_ms: list[float] = []

    def round(self) -> None:
        found, _, _ = answers(self.command)
        if self.loads:
            self.load_ms.append(found.pop(0)[1]["load_ms"])
        for file, (seconds, answer) in zip(self.files, found[1:], strict=True):
            self.seconds[file].append(seconds)
            self.texts[file] = answer["text"]
            if "ms" in answer:
                self.own_ms[file].append(sum(answer["ms"].values()))

    def ms(self, files: list[Path], own: bool = False) -> float:
        """Mean over files of the median over rounds."""
        if own:
            return statistics.fmean(statistics.median(self.own_ms[file]) for file in files)
        return 1e3 * statistics.fmean(statistics.median(self.seconds[file]) for file in files)


def compare(ours: Runs, theirs: Runs, groups: dict[str, list[Path]], rounds: int) -> dict:
    for _ in range(rounds):
        ours.round()
        theirs.round()
    report = {}
    for name, files in groups.items():
        a, b = ours.ms(files), theirs.ms(files)
        report[name] = {"bevel": round(a, 1), "bevel_own_ms": round(ours.ms(files, own=True), 1), "peer": round(b, 1), "ratio": round(a / b, 3)}
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bevel", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--whisper", help="bundle of Whisper base")
    parser.add_argument("--variant", default="int8", help="of the Whisper bundle")
    parser.add_argument("--ct2", type=Path, help="folder of model.bin, config.json, tokenizer.json and vocabulary.txt")
    parser.add_argument("--moonshine", default="moonshine-tiny", help="bundle or catalogue name")
    parser.add_argument("--long", type=Path, default=Path("models/.cache/moonshine-tiny/two_cities.wav"))
    parser.add_argument("--makers", default=sys.executable, help="Python that has moonshine-voice")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=10, help="of each quiet sound")
    parser.add_argument("--hour", type=float, default=3600, help="seconds of the long recording of `memory`")
    parser.add_argument("--part", action="append", choices=PARTS)
    args = parser.parse_args()
    parts = args.part or PARTS
    needs_whisper = {"whisper", "load", "quiet"} & set(parts)
    if needs_whisper and not args.whisper or {"whisper", "load"} & set(parts) and not args.ct2:
        parser.error("whisper and load need --whisper and --ct2, quiet needs --whisper")

    threads = ["--threads", str(args.threads)]
    run = lambda model: [str(args.bevel), "run", model, *threads, "--json"]  # noqa: E731
    whisper = [*run(args.whisper or ""), "--variant", args.variant]
    rows = [line.split("\t") for line in (args.speech / "transcripts.tsv").read_text(encoding="utf-8").splitlines()]
    spoken = [args.speech / name for name, _ in rows]
    report: dict = {"threads": args.threads, "rounds": args.rounds}

    with tempfile.TemporaryDirectory() as folder:
        sound = lambda name: Path(folder) / name  # noqa: E731
        if {"whisper", "moonshine"} & set(parts):
            prepare("cut", args.long, 30, sound("30s.wav"))
            lengths = dict(zip(spoken, (row["seconds"] for row in prepare("lengths", *spoken)), strict=True))
            clips = [file for file in spoken if lengths[file] < SHORT_S]
            files = [*spoken, sound("30s.wav")]
        if "whisper" in parts:
            ours = Runs(whisper, files, False)
            theirs = Runs(worker(sys.executable, "whisper", args.ct2, args.threads), files, True)
            jfk = [file for file in spoken if file.name == "jfk.flac"]
            groups = {"11 s": jfk, "30 s": [sound("30s.wav")], f"{len(clips)} clips under {SHORT_S:.0f} s": clips}
            report["whisper"] = {"ms": compare(ours, theirs, groups, args.rounds)} | scores(args.speech, spoken, ours, theirs)
        if "moonshine" in parts:
            ours = Runs(run(args.moonshine), files, False)
            theirs = Runs(worker(args.makers, "moonshine"), files, True)
            groups = {"all": spoken, "30 s": [sound("30s.wav")], "clips": clips}
            report["moonshine"] = {"ms": compare(ours, theirs, groups, args.rounds)} | scores(args.speech, spoken, ours, theirs)
            total = sum(lengths.values())
            rtf = {name: round(len(spoken) * runs.ms(spoken) / 1e3 / total, 4) for name, runs in (("bevel", ours), ("peer", theirs))}
            report["moonshine"]["rtf"] = rtf | {"ratio": round(rtf["bevel"] / rtf["peer"], 3)}
        if "load" in parts:
            ours_ms, theirs_ms = [], []
            bench = [str(args.bevel), "bench", args.whisper, str(spoken[0]), "--variant", args.variant, *threads, "--repeat", "1", "--json"]
            for _ in range(args.rounds):
                ours_ms.append(answers(bench)[0][0][1]["load_ms"])
                theirs_ms.append(answers(worker(sys.executable, "whisper", args.ct2, args.threads))[0][0][1]["load_ms"])
            a, b = statistics.median(ours_ms), statistics.median(theirs_ms)
            report["load"] = {"bevel_ms": round(a, 1), "peer_ms": round(b, 1), "ratio": round(a / b, 3)}
        if "memory" in parts:
            peaks = {}
            for name, seconds in (("minute", 60), ("hour", args.hour)):
                prepare("repeat", args.speech, seconds, sound(f"{name}.flac"))
                found, peaks[name], wall = answers([*run(args.moonshine), str(sound(f"{name}.flac"))])
                report.setdefault("memory", {})[name] = {"peak_mib": round(peaks[name], 1), "s": round(wall, 1), "words": len(found[0][1]["text"].split())}
            report["memory"]["ratio"] = round(peaks["hour"] / peaks["minute"], 3)
        if "quiet" in parts:
            report["quiet"] = {}
            for kind in ("silence", "noise", "tone", "chords"):
                prepare("quiet", kind, 60 * args.minutes, sound(f"{kind}.flac"))
                heard = {name: answers([*command, str(sound(f"{kind}.flac"))])[0][0][1]["text"] for name, command in (("moonshine", run(args.moonshine)), ("whisper", whisper))}
                report["quiet"][kind] = heard
    print(json.dumps(report, indent=1))


def scores(speech: Path, spoken: list[Path], ours: Runs, theirs: Runs) -> dict:
    from sound import error_rates

    of = lambda runs: error_rates(speech, [runs.texts[file] for file in spoken])  # noqa: E731
    return {"wer": {"bevel": of(ours), "peer": of(theirs)}}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        WORK[sys.argv[2]](*sys.argv[3:])
    else:
        main()
