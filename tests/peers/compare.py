#!/usr/bin/env python3
"""Bevel against Python, process against process, and a Markdown table of it.

Every round starts both programs afresh, one after the other, so that a noisy machine is noisy for both. Medians count.
- first answer: from exec to the first line on stdout; whole process: to its end. Files are in the page cache (one round
  is thrown away).
- peak memory: ru_maxrss of the child, by wait4. Linux hands a child its parent's peak at exec, so this script imports
  little and stays under what it measures.
- steady state: p50 of prepare, run and decode within one process, `bevel bench --json` against the peer's --repeat.
- same answer: both sides' boxes or embeddings, because a ratio between different jobs says nothing.

Without --bevel, or where it fails, Python's column stands alone and the reason is printed. --check exits 1 when a limit
is missed.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
STAGES = ("prepare", "run", "decode")
VERDICT = {None: "", True: "yes", False: "**no**"}


@dataclass
class Job:
    name: str
    peer: list[str]
    bevel_model: list[str]  # bundle or model, and its recipe or variant
    bevel_input: str
    bevel_options: list[str]
    share_limit: float  # of prepare + decode in run
    repeat: int


@dataclass
class Side:
    first_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    peak_mib: list[float] = field(default_factory=list)
    steady: list[dict] = field(default_factory=list)
    answer: dict | None = None
    trouble: str | None = None


def start(command: list[str]) -> tuple[float, float, float, str]:
    """(seconds to the first line, seconds to the end, peak MiB, stdout)."""
    with tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        first_line = process.stdout.readline()
        first_s = time.perf_counter() - begin
        rest = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - begin
        process.stdout.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or not first_line:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip().splitlines()
            said = text[-1] if text else "nothing on stderr"
            raise RuntimeError(f"exit {process.returncode}: {' '.join(command)}: {said}")
        return first_s, whole_s, usage.ru_maxrss / 1024, (first_line + rest).decode()


def measure(side: Side, command: list[str], keep: bool) -> None:
    if side.trouble:
        return
    try:
        first_s, whole_s, peak_mib, text = start(command)
        if keep:
            side.first_s.append(first_s)
            side.whole_s.append(whole_s)
            side.peak_mib.append(peak_mib)
            side.answer = json.loads(text.splitlines()[0])
    except (OSError, RuntimeError, ValueError) as trouble:
        side.trouble = str(trouble)


def bench(side: Side, command: list[str]) -> None:
    if side.trouble:
        return
    try:
        answer = json.loads(start(command)[3])
        side.steady.append({stage: float(answer[stage]["p50"]) for stage in STAGES})
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as trouble:
        side.trouble = f"bench: {trouble!r}" if isinstance(trouble, (KeyError, TypeError)) else f"bench: {trouble}"


def same_boxes(ours: list[dict], theirs: list[dict]) -> str:
    """Pairs every box of Python's with Bevel's nearest of the same class."""
    shift, score = 0.0, 0.0
    for box in theirs:
        of_class = [o for o in ours if o["index"] == box["index"]]
        if not of_class:
            return f"differs: {len(ours)} and {len(theirs)} boxes, no box of class {box['index']}"
        near = min(of_class, key=lambda o: max(abs(a - b) for a, b in zip(o["box"], box["box"])))
        shift = max(shift, *(abs(a - b) for a, b in zip(near["box"], box["box"])))
        score = max(score, abs(near["score"] - box["score"]))
    return f"{len(ours)} and {len(theirs)} boxes, at most {shift:.2f} pixels and {score:.4f} score apart"


def same_answer(bevel: dict, python: dict) -> str:
    if "boxes" in bevel:
        return same_boxes(bevel["boxes"], python["answers"][0]["boxes"])
    ours, theirs = bevel.get("embedding"), python["embeddings"][0]
    if not ours or len(ours) != len(theirs):
        return f"differs: {len(ours or [])} and {len(theirs)} numbers"
    dot = sum(a * b for a, b in zip(ours, theirs))
    return f"cosine {dot / math.sqrt(sum(a * a for a in ours) * sum(b * b for b in theirs)):.6f}"


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |")


def report(job: Job, bevel: Side, python: Side) -> bool:
    print(f"\n### {job.name}\n")
    row("", "Bevel", "Python", "Bevel / Python", "limit", "met")
    row(*["---"] * 6)
    met_all = True

    def line(label: str, ours: float | None, theirs: float | None, form: str, limit: float | None = None) -> None:
        nonlocal met_all
        both = ours is not None and theirs is not None
        ratio = ours / theirs if both and theirs else None
        met = ratio <= limit if ratio is not None and limit else None
        met_all = met_all and met is not False
        shown = [form.format(value) if value is not None else "–" for value in (ours, theirs)]
        bound = f"≤ {limit:.2f}" if limit else ""
        row(label, *shown, f"{ratio:.3f}" if ratio is not None else "–", bound, VERDICT[met])

    def median(values: list[float]) -> float | None:
        return statistics.median(values) if values else None

    line("first answer, s (median)", median(bevel.first_s), median(python.first_s), "{:.3f}", 1 / 2.5)
    line("first answer, s (best)", min(bevel.first_s, default=None), min(python.first_s, default=None), "{:.3f}")
    line("whole process, s (median)", median(bevel.whole_s), median(python.whole_s), "{:.3f}")
    line("peak memory, MiB (median)", median(bevel.peak_mib), median(python.peak_mib), "{:.1f}", 0.6)
    p50 = {
        stage: [median([steady[stage] for steady in side.steady]) for side in (bevel, python)] for stage in STAGES
    }
    for stage in STAGES:
        line(f"{stage} p50, ms", *p50[stage], "{:.3f}")
    shares = [
        100 * (p50["prepare"][i] + p50["decode"][i]) / p50["run"][i] if p50["run"][i] else None for i in (0, 1)
    ]
    met = shares[0] <= job.share_limit if shares[0] is not None else None
    met_all = met_all and met is not False
    shown = [f"{share:.1f} %" if share is not None else "–" for share in shares]
    row("(prepare + decode) / run", *shown, "", f"Bevel ≤ {job.share_limit:g} %", VERDICT[met])
    if bevel.answer and python.answer:
        print(f"\nSame answer: {same_answer(bevel.answer, python.answer)}.")
    for name, side in (("Bevel", bevel), ("Python", python)):
        if side.trouble:
            met_all = False
            print(f"\n{name} gave no (further) figures: {side.trouble}")
    return met_all and bool(bevel.steady)


def bevel_model(path: Path | None, recipe: Path | None) -> list[str]:
    """A plain model takes a recipe; a bundle may hold several variants, and Python runs fp32."""
    if path is None:
        return []
    if recipe:
        return [str(path), "--recipe", str(recipe)]
    manifest = path / "bundle.toml"
    several = manifest.is_file() and 'name = "fp32"' in manifest.read_text(encoding="utf-8")
    return [str(path), *(["--variant", "fp32"] if several else [])]


def jobs(args: argparse.Namespace) -> list[Job]:
    found = []
    threads = ["--threads", str(args.threads)]
    if args.yolox_model and args.image:
        score, iou, image = str(args.score), str(args.iou), str(args.image)
        peer = [str(HERE / "yolox.py"), str(args.yolox_model), image, *threads]
        found.append(
            Job(
                f"YOLOX-nano, {args.image.name}",
                [*peer, "--score", score, "--iou", iou],
                bevel_model(args.yolox_bundle, args.yolox_recipe),
                image,
                [*threads, "--min-score", score, "--iou", iou],
                15,
                300,
            )
        )
    if args.minilm_model and args.tokenizer:
        found.append(
            Job(
                f"MiniLM fp32, {len(args.text.split())} words",
                [str(HERE / "minilm.py"), str(args.minilm_model), str(args.tokenizer), "--text", args.text, *threads],
                bevel_model(args.minilm_bundle, args.minilm_recipe),
                args.text,
                threads,
                5,
                300,
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bevel", type=Path, help="the binary")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers' packages")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--benches", type=int, default=3, help="steady-state runs a side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--yolox-model", type=Path, help="what Python runs")
    parser.add_argument("--yolox-bundle", type=Path, help="what Bevel runs: a bundle, or a plain model with --yolox-recipe")
    parser.add_argument("--yolox-recipe", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--score", type=float, default=0.3)
    parser.add_argument("--iou", type=float, default=0.45)
    parser.add_argument("--minilm-model", type=Path)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--minilm-bundle", type=Path)
    parser.add_argument("--minilm-recipe", type=Path)
    parser.add_argument("--text", default="The battery lasts two days and the screen is bright enough for the garden.")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    todo = jobs(args)
    if not todo:
        parser.error("give --yolox-model and --image, or --minilm-model and --tokenizer")

    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, {args.threads} threads, {args.rounds} rounds; load average before: {load:.2f}")
    if load > 0.5:
        print("Something else is running: trust the ratios more than the seconds.")
    met = True
    for job in todo:
        bevel, python = Side(), Side()
        if args.bevel is None:
            bevel.trouble = "no --bevel"
        elif not job.bevel_model:
            bevel.trouble = "no bundle for this job"
        ours = [str(args.bevel), "run", *job.bevel_model, job.bevel_input, "--json", *job.bevel_options]
        theirs = [args.python, *job.peer]
        for number in range(args.rounds + 1):
            measure(bevel, ours, keep=number > 0)
            measure(python, theirs, keep=number > 0)
        for _ in range(args.benches):
            bench(bevel, [str(args.bevel), "bench", *job.bevel_model, job.bevel_input, "--json", *job.bevel_options])
            bench(python, [*theirs, "--repeat", str(job.repeat)])
        met = report(job, bevel, python) and met
    if args.check and not met:
        sys.exit(1)


if __name__ == "__main__":
    main()
