#!/usr/bin/env python3
"""Holds the tokenizer.json that Bevel builds from vocab.txt, or vocab.json and merges.txt, to transformers.

Real vocabularies are taken out of tokenizer.json files (--word-piece, --byte-bpe), written as checkpoints had them before,
put beside a tiny BERT and converted; CLIP's is trained on the texts. Then ids, segments and offsets of many texts are compared: those of the golden files,
lines of --text, and random strings of letters, marks, emoji and spaces of all kinds. Exits 1 on the first class that differs.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer

sys.path.append(str(Path(__file__).parent.parent / "golden" / "tokenizers"))
import make as golden  # noqa: E402

ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
# Class, whether it reads vocab.txt, tokens its vocabulary must have, side file.
CLASSES = [
    ("BertTokenizer", True, [], {}),
    ("BertTokenizer", True, [], {"do_lower_case": False}),
    ("BertTokenizer", True, [], {"strip_accents": False, "tokenize_chinese_chars": False}),
    ("DistilBertTokenizer", True, [], {}),
    ("MPNetTokenizer", True, ROBERTA, {}),
    # transformers 5 no longer lets a mask of RoBERTa take the space before it; published tokenizers and 4 do.
    ("RobertaTokenizer", False, ROBERTA, {"added_tokens_decoder": "mask"}),
    ("RobertaTokenizer", False, ROBERTA, {"added_tokens_decoder": "mask", "add_prefix_space": True}),
    ("GPT2Tokenizer", False, ["<|endoftext|>"], {}),
    ("Qwen2Tokenizer", False, ["<|endoftext|>"], {}),
    ("CLIPTokenizer", False, ["<|startoftext|>", "<|endoftext|>"], {}),
    ("WhisperTokenizer", False, ["<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"], {}),
]
ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz",
    "ABCXYZ0123456789'’.,;:!?()[]{}<>|/\\@#$%^&*+-=_~`\"",
    "éèüßñøÅÇİıſﬁⅫ²½",
    "\u0301\u0308\u0323\u200d\ufe0f",
    "今天東京の夜한국어",
    "ЯюжΘάλασσα",
    "नमस्ते สวัสดี مرحبا שלום",
    "😀👩🏽‍🚀🇩🇪❤️✌🏿",
    " \t\n\r\u00a0\u3000\u2028\u200b",
]


def strings(count: int, lot: random.Random) -> list[str]:
    """Random strings, mostly of letters and spaces."""
    made = []
    for _ in range(count):
        parts = []
        for _ in range(lot.randint(1, 14)):
            alphabet = lot.choice([*ALPHABETS, ALPHABETS[0], ALPHABETS[0], ALPHABETS[1]])
            parts.append("".join(lot.choice(alphabet) for _ in range(lot.randint(1, 7))) + lot.choice(["", " ", " ", "  "]))
        made.append("".join(parts))
    return made


def write_checkpoint(folder: Path, rows: int) -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=rows, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4, pad_token_id=0
    )
    transformers.BertModel(config).save_pretrained(folder)


def words(args: argparse.Namespace, name: str, in_lines: bool, needs: list[str], texts: list[str]) -> tuple[dict, list | None]:
    """Vocabulary and merges for a class."""
    if name == "CLIPTokenizer":
        return golden.byte_bpe(needs, 4000, "clip", texts)
    source = json.loads((args.word_piece if in_lines else args.byte_bpe).read_text(encoding="utf-8"))["model"]
    vocabulary = dict(source["vocab"])
    for token in needs:
        vocabulary.setdefault(token, len(vocabulary))
    merges = source.get("merges")
    if merges:
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in merges]
    return vocabulary, merges


def check(args: argparse.Namespace, name: str, in_lines: bool, needs: list[str], side: dict, texts: list[str]) -> bool:
    vocabulary, merges = words(args, name, in_lines, needs, texts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "checkpoint"
        write_checkpoint(folder, len(vocabulary))
        golden.write_vocabulary(folder, vocabulary, merges)
        side = dict(side)
        if side.get("added_tokens_decoder") == "mask":
            side["added_tokens_decoder"] = {vocabulary["<mask>"]: golden.added("<mask>", lstrip=True)}
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **side}))
        bundle = Path(scratch) / "case.bevel"
        subprocess.run([args.bevel, "convert", folder, "-o", bundle, "--quantize", "none"], check=True, capture_output=True)
        built = Tokenizer.from_file(str(bundle / "tokenizer.json"))
        reference = getattr(transformers, name).from_pretrained(folder).backend_tokenizer
    for text, pair in [*((text, None) for text in texts), *zip(texts[::7], texts[3::7])]:
        ours, theirs = built.encode(text, pair), reference.encode(text, pair)
        if (ours.ids, ours.type_ids, ours.offsets) != (theirs.ids, theirs.type_ids, theirs.offsets):
            print(f"{name} {side}: {text!r} {pair!r}\n  {ours.tokens}\n  {theirs.tokens}\n  {ours.offsets}\n  {theirs.offsets}")
            return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bevel", type=Path, default=Path("target/release/bevel"))
    parser.add_argument("--word-piece", type=Path, required=True, help="tokenizer.json of a BERT")
    parser.add_argument("--byte-bpe", type=Path, required=True, help="tokenizer.json of a GPT-2, RoBERTa or Whisper")
    parser.add_argument("--text", type=Path, help="a file whose lines are compared too")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    texts = golden.TEXTS + strings(args.count, random.Random(args.seed))
    if args.text:
        texts += args.text.read_text(encoding="utf-8").splitlines()
    right = [check(args, *row, texts) for row in CLASSES]
    print(f"{sum(right)} of {len(right)} right over {len(texts)} texts")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
