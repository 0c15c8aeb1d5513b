#!/usr/bin/env python3
"""Writes folders as checkpoints had them before tokenizer.json, and cases.json with what transformers makes of them.

Vocabularies are trained here on the text below and hold a few hundred tokens. `cases.json` is a list of objects: `text`,
`pair` (a second text, or null), and of its encoding with special tokens `ids`, `type_ids` and `offsets` in characters.
Made with transformers 5.23.0 and tokenizers 0.23. Tolerance: exact.
"""

import argparse
import json
import shutil
from pathlib import Path

import transformers
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

CORPUS = """
The kettle has been on for ten minutes, and nobody in the kitchen seems to mind the noise it makes.
She didn't say where she'd put the keys; they're probably under the newspaper, or in yesterday's coat.
On 14 March 2021 the station counted 3,482 travellers, 27% more than in the week before (see table 4.2).
Le garçon a mangé une crêpe à Noël. Übermorgen fährt die Straßenbahn später. El niño soñó con un pingüino.
Они приехали рано утром. Η θάλασσα είναι ήρεμη. 今天天气很好，我们去公园。東京の夜は明るい。 한국어도 조금.
def area(width: int, height: int) -> int:\n    return width * height  # in pixels
for (let i = 0; i < rows.length; i++) { total += rows[i].price ?? 0; }
Write to someone@example.org or open https://example.org/a?b=1&c=2 for the rest of the story…
"""

TEXTS = [
    "The kettle is on the table.",
    "",
    " ",
    "   two   spaces\tand a tab\n\nand lines \r\n end ",
    "She'd said they're late, didn't she? I'LL SEE. we've 'quoted' it",
    "Übermorgen crêpe à Noël, garçon! niño Ångström İstanbul ẞ ﬁne Ⅻ",
    "e\u0301 versus \u00e9, and \u1e9b\u0323",
    "今天天气很好，我们去公园。東京 한국어",
    "😀 a 👩‍👩‍👧 family 🇩🇪 and ❤️!",
    "3,482 + 27% = 4.2e10; ²½ ٣٤ 0x1F",
    "def area(w: int) -> int:\n\treturn w * w  # px",
    "for(let i=0;i<n;i++){t+=r[i]??0}",
    "someone@example.org https://example.org/a?b=1&c=2",
    "[CLS] is not special [MASK] here <mask> and <s> there</s>",
    "a <mask> word, <mask>.",
    "<|endoftext|> then <|startoftext|> <|startoftranscript|> <|im_start|>user",
    "zero\u200bwidth\u00a0no-break\u3000wide \u2028 line\x07bell \ufffd",
    "newtoken and NewToken antinewtokens",
    "antidisestablishmentarianism" * 5,
    "Η θάλασσα — Они приехали… “quotes” ‘single’",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0645\u0631\u062d\u0628\u0627",
]
PAIRS = [("The kettle is on.", "Who put it on the table?"), ("", "crêpe"), ("今天", "😀 fine")]


def lines() -> list[str]:
    return [line for line in CORPUS.split("\n") if line]


def word_piece(specials: list[str], size: int, lowercase: bool) -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token=specials[0]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=specials, show_progress=False)
    tokenizer.train_from_iterator(lines(), trainer)
    return tokenizer.get_vocab()


def byte_bpe(
    specials: list[str], size: int, like: str, corpus: list[str] | None = None
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges, split as the class `like` splits."""
    tokenizer = Tokenizer(models.BPE())
    suffix = ""
    if like == "clip":
        suffix = "</w>"
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
        pattern = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
        split = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    elif like == "qwen2":
        split = pre_tokenizers.Split(
            Regex(transformers.models.qwen2.tokenization_qwen2.PRETOKENIZE_REGEX), behavior="isolated"
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet, end_of_word_suffix=suffix, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(corpus or lines(), trainer)
    vocabulary = tokenizer.get_vocab()
    # Every byte can end a word, whether the corpus shows it or not.
    for letter in alphabet if suffix else []:
        vocabulary.setdefault(letter + suffix, len(vocabulary))
    merges = [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]
    return vocabulary, merges


def write_vocabulary(folder: Path, vocabulary: dict[str, int], merges: list[tuple[str, str]] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    in_order = sorted(vocabulary, key=vocabulary.__getitem__)
    if merges is None:
        (folder / "vocab.txt").write_text("\n".join(in_order) + "\n", encoding="utf-8")
        return
    (folder / "vocab.json").write_text(json.dumps({t: vocabulary[t] for t in in_order}, ensure_ascii=False), encoding="utf-8")
    text = "".join(f"{left} {right}\n" for left, right in merges)
    (folder / "merges.txt").write_text("#version: 0.2\n" + text, encoding="utf-8")


def added(content: str, special: bool = True, **flags: bool) -> dict:
    usual = {"lstrip": False, "rstrip": False, "normalized": not special, "single_word": False}
    return {"content": content, **usual, "special": special, **flags}


BERT = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
END = "<|endoftext|>"
NEXT = "the id after the last of the vocabulary"


def cases() -> dict[str, tuple[str, tuple, dict[str, object]]]:
    """Name to model type, vocabulary with merges, and side files. NEXT as an id counts on from the vocabulary."""
    lower = (word_piece(BERT, 380, True), None)
    exact = (word_piece(BERT, 380, False), None)
    mpnet = word_piece(["[UNK]", *ROBERTA], 380, True)
    roberta = byte_bpe(ROBERTA, 420, "roberta")
    gpt2 = byte_bpe([END], 420, "gpt2")
    mask = {"content": "<mask>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
    return {
        "bert": ("bert", lower, {}),
        "bert-cased": (
            "bert",
            exact,
            {
                "tokenizer_config.json": {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "model_max_length": 512},
                "special_tokens_map.json": {"cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"},
                "added_tokens.json": {"newtoken": NEXT},
            },
        ),
        "bert-accents": (
            "electra",
            lower,
            {
                "tokenizer_config.json": {
                    "tokenizer_class": "ElectraTokenizerFast",
                    "strip_accents": False,
                    "tokenize_chinese_chars": False,
                    "do_lower_case": True,
                }
            },
        ),
        "distilbert": ("distilbert", exact, {"tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}}),
        "mpnet": ("mpnet", (mpnet, None), {}),
        "roberta": ("roberta", roberta, {"special_tokens_map.json": {"mask_token": mask, "bos_token": "<s>"}}),
        "roberta-space": (
            "roberta",
            roberta,
            {
                "tokenizer_config.json": {
                    "add_prefix_space": True,
                    "trim_offsets": False,
                    "added_tokens_decoder": {
                        "0": added("<s>"),
                        "1": added("<pad>"),
                        "2": added("</s>"),
                        "3": added("<unk>"),
                        "4": added("<mask>", lstrip=True),
                        NEXT: added("newtoken", special=False, single_word=True),
                    },
                }
            },
        ),
        "gpt2": ("gpt2", gpt2, {}),
        "gpt2-start": ("gpt2", gpt2, {"tokenizer_config.json": {"add_bos_token": True, "tokenizer_class": "GPT2Tokenizer"}}),
        "qwen2": (
            "qwen2",
            byte_bpe([END], 420, "qwen2"),
            {
                "tokenizer_config.json": {
                    "tokenizer_class": "Qwen2Tokenizer",
                    "bos_token": None,
                    "added_tokens_decoder": {"0": added(END), NEXT: added("<|im_start|>")},
                    "additional_special_tokens": ["<|im_start|>"],
                }
            },
        ),
        "clip": ("clip", byte_bpe(["<|startoftext|>", END], 420, "clip"), {}),
        "whisper": (
            "whisper",
            gpt2,
            {
                "added_tokens.json": {"<|startoftranscript|>": NEXT, "<|en|>": NEXT, "<|notimestamps|>": NEXT},
                "special_tokens_map.json": {"additional_special_tokens": ["<|startoftranscript|>", "<|en|>", "<|notimestamps|>"]},
            },
        ),
    }


def side_file(content: object, free: int) -> object:
    """`content` with ids in place of NEXT."""
    ids = iter(range(free, free + 100))
    numbered = lambda value: next(ids) if value == NEXT else value
    if not isinstance(content, dict):
        return content
    return {
        str(numbered(key)): side_file(value, free) if isinstance(value, dict) else numbered(value) for key, value in content.items()
    }


def write_case(folder: Path, model_type: str, vocabulary: tuple, files: dict[str, object]) -> None:
    write_vocabulary(folder, *vocabulary)
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    for name, content in files.items():
        (folder / name).write_text(json.dumps(side_file(content, len(vocabulary[0])), indent=1))


def encodings(folder: Path, texts: list[str], pairs: list[tuple[str, str]]) -> list[dict]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, use_fast=True)
    rows = []
    for text, pair in [*((text, None) for text in texts), *pairs]:
        encoding = tokenizer.backend_tokenizer.encode(text, pair)
        rows.append(
            {"text": text, "pair": pair, "ids": encoding.ids, "type_ids": encoding.type_ids, "offsets": encoding.offsets}
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for name, (model_type, vocabulary, files) in cases().items():
        folder = args.out / name
        shutil.rmtree(folder, ignore_errors=True)
        write_case(folder, model_type, vocabulary, files)
        rows = encodings(folder, TEXTS, PAIRS)
        text = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
        (folder / "cases.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
