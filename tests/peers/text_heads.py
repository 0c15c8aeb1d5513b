#!/usr/bin/env python3
"""Holds classify, tag and answer to transformers' pipelines on random texts, with three kinds of tokenizer.

WordPiece is MiniLM's own (--word-piece), byte-level BPE that of Whisper (--byte-bpe), Unigram is trained on the texts. Beside
each stands a random encoder with all heads, see `../golden/heads/make.py`, which also says what is compared and where Bevel
means to differ. For the latter it is counted how many texts the pipelines as they are answer the same. Exits 1 where anything
differs from what is meant.

Needs transformers 4.57: version 5 has no question answering.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "golden" / "heads"), str(HERE)]
import make as heads  # noqa: E402

CORPUS = (HERE.parent / "golden" / "tokenizers" / "make.py").read_text(encoding="utf-8")
ALPHABETS = ["éèüßñøÅÇİ", "\u0301\u0308\u200d\ufe0f", "今天東京の夜한국어", "ЯюжΘάλασσα", "नमस्ते สวัสดี", "مرحبا שלום", "😀👩🏽‍🚀🇩🇪❤️✌🏿"]
SPACES = [" "] * 12 + ["  ", ", ", ". ", "\n", "\t", "\u00a0", ""]


def texts(count: int, lot: random.Random) -> list[str]:
    """Of a few characters up to several windows."""
    # The pipeline takes a first token that stands in a question for one of the context.
    words = sorted({word for word in CORPUS.split() if len(word) < 15 and "<s>" not in word and "[CLS]" not in word})
    made = ["", " ", "a", "😀", "\u0301", "[MASK] <mask> [SEP]"]
    while len(made) < count:
        parts = []
        for _ in range(lot.choice([2, 5, 10, 20, 20, 40, 90])):
            alphabet = lot.choice(ALPHABETS)
            strange = "".join(lot.choice(alphabet) for _ in range(lot.randint(1, 6)))
            parts.append(lot.choice([*[lot.choice(words)] * 6, strange]) + lot.choice(SPACES))
        text = "".join(parts)
        if not text.startswith("-"):
            made.append(text)
    return made


def unigram(lines: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.UnigramTrainer(vocab_size=600, special_tokens=specials, unk_token="<unk>", show_progress=False)
    # Some letters stay unknown.
    tokenizer.train_from_iterator([line for line in lines if line.isascii()] + CORPUS.split("\n")[:12], trainer)
    return tokenizer


def tokenizer_of(kind: str, args: argparse.Namespace, lines: list[str]) -> transformers.PreTrainedTokenizerFast:
    limit = {"model_max_length": heads.MAX_TOKENS}
    if kind == "word-piece":
        tokenizer = Tokenizer.from_file(str(args.word_piece))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return transformers.BertTokenizerFast(tokenizer_object=tokenizer, **limit)
    if kind == "byte-bpe":
        model = json.loads(args.byte_bpe.read_text(encoding="utf-8"))["model"]
        vocabulary = dict(model["vocab"])
        for token in ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]:
            vocabulary.setdefault(token, len(vocabulary))
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        ids = [(token, vocabulary[token]) for token in ("</s>", "<s>")]
        tokenizer.post_processor = processors.RobertaProcessing(*ids, trim_offsets=True, add_prefix_space=False)
        return transformers.RobertaTokenizerFast(tokenizer_object=tokenizer, **limit)
    tokenizer = unigram(lines)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ids)
    names = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "eos_token": "</s>", "unk_token": "<unk>"}
    names |= {"pad_token": "<pad>", "mask_token": "<mask>"}
    inputs = ["input_ids", "attention_mask"]
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names, **limit)


def bevel(args: argparse.Namespace, folder: Path, task: str, inputs: list[str]) -> list[dict]:
    bundle = folder / f"{task}.bevel"
    convert = [args.bevel, "convert", folder / "checkpoint", "-o", bundle, "--task", task, "--quantize", "none"]
    subprocess.run(convert, check=True, capture_output=True)
    run = subprocess.run([args.bevel, "run", bundle, "--json", "--", *inputs], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"bevel run: {run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]


def same(ours: dict, theirs: dict) -> bool:
    keys = theirs.keys() - {"score"}
    return all(ours[key] == theirs[key] for key in keys) and abs(ours["score"] - theirs["score"]) <= 1e-4 + 1e-4 * theirs["score"]


def all_same(ours: list[dict], theirs: list[dict]) -> bool:
    return len(ours) == len(theirs) and all(map(same, ours, theirs))


def check(kind: str, args: argparse.Namespace, lines: list[str], lot: random.Random, folder: Path) -> bool:
    tokenizer = tokenizer_of(kind, args, lines)
    family = {"word-piece": "bert", "byte-bpe": "roberta", "unigram": "xlm-roberta"}[kind]
    checkpoint = folder / "checkpoint"
    rows = max(tokenizer.get_vocab().values()) + 1
    heads.write_checkpoint(checkpoint, family, rows, heads.MAX_TOKENS, args.seed)
    tokenizer.save_pretrained(checkpoint)
    reference = heads.Reference(checkpoint, tokenizer)
    good = True

    def differs(task: str, text: str, ours: object, theirs: object) -> None:
        nonlocal good
        good = False
        print(f"{kind} {task} {text!r}\n  bevel        {ours}\n  transformers {theirs}")

    for text, found in zip(lines, bevel(args, folder, "classify", lines), strict=True):
        theirs = reference.classify(text)
        if not all_same(found["labels"], theirs):
            differs("classify", text, found["labels"], theirs)

    plain = windows = 0
    for text, found in zip(lines, bevel(args, folder, "tag", lines), strict=True):
        theirs = reference.tag(text)
        if not all_same(found["entities"], theirs):
            differs("tag", text, found["entities"], theirs)
        if any(text[e["start"] : e["end"]] != e["text"] for e in found["entities"]):
            differs("tag", text, found["entities"], "the text itself")
        fits = len(tokenizer(text).input_ids) <= tokenizer.model_max_length
        windows += not fits
        plain += fits and all_same(found["entities"], reference.plain_tag(text) if text else [])
    print(f"{kind} tag: {len(lines)} texts, {windows} in windows; {plain} of the others as the pipeline unchanged")

    # Half of a window is the question's.
    contexts = [text for text in lines if tokenizer(text, add_special_tokens=False).input_ids and text.strip()]
    short = [text for text in contexts if len(tokenizer(text).input_ids) < heads.MAX_TOKENS // 3]
    questions = [{"question": lot.choice(short), "context": context} for context in contexts]
    plain = blank = 0
    for row, found in zip(questions, bevel(args, folder, "answer", [json.dumps(row) for row in questions]), strict=True):
        theirs = reference.answer(**row)
        # White space is no answer.
        blank += not theirs["answer"]
        if not (same(found, theirs) if theirs["answer"] else found["answer"]):
            differs("answer", str(row), {key: found[key] for key in theirs}, theirs)
        plain += same(found, reference.answer(**row, plain=True))
    print(f"{kind} answer: {len(questions)} questions, {blank} answered with white space; {plain} as the pipeline unchanged")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bevel", type=Path, required=True)
    parser.add_argument("--word-piece", type=Path, required=True, help="tokenizer.json of MiniLM")
    parser.add_argument("--byte-bpe", type=Path, required=True, help="tokenizer.json of Whisper")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    warnings.simplefilter("ignore")
    lot = random.Random(args.seed)
    lines = texts(args.count, lot)
    good = True
    for kind in ["word-piece", "byte-bpe", "unigram"]:
        with tempfile.TemporaryDirectory() as folder:
            good &= check(kind, args, lines, lot, Path(folder))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
