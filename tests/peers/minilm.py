#!/usr/bin/env python3
"""Sentence embeddings with Python: onnxruntime, tokenizers and numpy; mean pooling over the mask, then L2 norm.

Prints one JSON line. --text (may be repeated) answers and times single sentences; --file embeds a column of a
tab-separated file in batches sorted by length and prints sentences a second.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import that reads it
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its thread pool costs more than it gives on short texts

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer

import measure


class Embedder:
    def __init__(self, model: Path, tokenizer: Path, threads: int, max_tokens: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.enable_truncation(max_tokens)
        self.tokenizer.enable_padding()  # to the longest of the batch, not to the file's fixed length
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        self.inputs = {graph_input.name for graph_input in self.session.get_inputs()}

    def prepare(self, texts: list[str]) -> dict[str, np.ndarray]:
        encodings = self.tokenizer.encode_batch_fast(texts)
        feed = {
            "input_ids": np.array([e.ids for e in encodings], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encodings], np.int64),
        }
        if "token_type_ids" in self.inputs:
            feed["token_type_ids"] = np.zeros_like(feed["input_ids"])
        return feed

    def run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        return self.session.run(["last_hidden_state"], feed)[0]

    def decode(self, hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(N, T, D) and (N, T) -> (N, D) of length 1. The mean's divisor cancels in the norm."""
        pooled = np.matmul(mask[:, None, :].astype(np.float32), hidden)[:, 0]
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    def timed(self, texts: list[str], spent: dict[str, list[float]]) -> np.ndarray:
        start = time.perf_counter()
        feed = self.prepare(texts)
        prepared = time.perf_counter()
        hidden = self.run(feed)
        ran = time.perf_counter()
        embeddings = self.decode(hidden, feed["attention_mask"])
        end = time.perf_counter()
        for stage, seconds in zip(spent, (prepared - start, ran - prepared, end - ran)):
            spent[stage].append(seconds)
        return embeddings


def column(path: Path, number: int, limit: int | None) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t")[number - 1] for line in lines][:limit]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("--text", action="append", help="a sentence")
    parser.add_argument("--file", type=Path, help="tab-separated text")
    parser.add_argument("--column", type=int, default=1, help="of --file, from 1")
    parser.add_argument("--limit", type=int, help="lines of --file")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=1, help="passes; with --text the first is not in the percentiles")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-tokens", type=int, default=256)
    args = parser.parse_args()
    if bool(args.text) == bool(args.file):
        parser.error("give --text or --file")

    embedder = Embedder(args.model, args.tokenizer, args.threads, args.max_tokens)
    spent: dict[str, list[float]] = {"prepare": [], "run": [], "decode": []}
    if args.text:
        embeddings = []
        first_ms = 0.0
        for text in args.text:
            feed = embedder.prepare([text])
            embeddings.append(embedder.decode(embedder.run(feed), feed["attention_mask"])[0])
            first_ms = first_ms or measure.since_exec_ms()
        for _ in range(args.repeat - 1):
            for text in args.text:
                embedder.timed([text], spent)
        line = {"first_answer_ms": round(first_ms, 1), "embeddings": [[round(float(v), 6) for v in e] for e in embeddings]}
    else:
        texts = column(args.file, args.column, args.limit)
        # By tokens, not by letters, would be a second tokenisation; letters are close enough to keep padding small.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        batches = [[texts[i] for i in order[k : k + args.batch]] for k in range(0, len(order), args.batch)]
        embedder.timed(batches[0], spent)
        first_ms = measure.since_exec_ms()
        for stage in spent.values():
            stage.clear()
        start = time.perf_counter()
        for _ in range(args.repeat):
            for batch in batches:
                embedder.timed(batch, spent)
        rate = args.repeat * len(texts) / (time.perf_counter() - start)
        line = {"first_answer_ms": round(first_ms, 1), "sentences": len(texts), "sentences_per_s": round(rate, 1)}
    line |= {stage: measure.percentiles(seconds) for stage, seconds in spent.items() if seconds}
    line["peak_memory_mib"] = round(measure.peak_memory_mib(), 1)
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
