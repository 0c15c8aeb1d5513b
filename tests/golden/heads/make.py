#!/usr/bin/env python3
"""Writes small checkpoints with a tokenizer and every head, and expected.json with what transformers' pipelines answer.

Each folder holds one encoder with the heads for classify, tag and answer; which one is meant is said to `bevel convert`. Weights
are random, the vocabularies those of `../tokenizers`. Texts longer than 48 tokens are read in windows.

Made with transformers 4.57.3, the last series with a pipeline for question answering, and tokenizers 0.22. Tolerance:
labels, texts and places exact; scores 1e-4. `classify` is its text-classification, `tag` its token-classification with
`aggregation_strategy="first"`, `answer` its question-answering with `max_answer_len=30`. Where Bevel says that it differs, so
do the classes here: words end at any white space and hold whole characters, a token counts where a window has the most text on both
sides of it, windows are not added up, nothing begins, ends or consists of white space.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers import QuestionAnsweringPipeline, TextClassificationPipeline, TokenClassificationPipeline

sys.path.append(str(Path(__file__).parent.parent / "tokenizers"))
TOKENIZERS = Path(__file__).parent.parent / "tokenizers"

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
MAX_TOKENS = 48
HEADS = ["ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"]

TEXTS = [
    "The kettle is on the table.",
    "",
    " ",
    "Übermorgen fährt Zoë nach Ångström, e\u0301 und \u00e9!",
    "😀 Ada 👩‍👩‍👧 went to 🇩🇪 and ❤️!",
    "شمال المدينة שלום world",
    "今天天气很好，我们去公园。",
    "  On 14 March 2021 the station counted 3,482 travellers, 27% more than in the week before (see table 4.2).  ",
    "She didn't say where she'd put the keys; they're probably under the newspaper, or in yesterday's coat. "
    "The kettle has been on for ten minutes, and nobody in the kitchen seems to mind the noise it makes. 😀 " * 2,
]
QUESTIONS = [
    ("Where is the kettle?", TEXTS[0]),
    ("Wer fährt?", TEXTS[3]),
    ("Who went to 🇩🇪?", TEXTS[4]),
    ("?", TEXTS[5]),
    ("今天?", TEXTS[6]),
    ("How many travellers?", TEXTS[7]),
    ("What did nobody mind?", TEXTS[8]),
]


class Tags(TokenClassificationPipeline):
    """With whole words and windows; see above."""

    def gather_pre_entities(self, sentence, *args, **kwargs):
        pieces = super().gather_pre_entities(sentence, *args, **kwargs)
        if self.real_words is not None:
            for before, piece, word, last in zip([None, *pieces], pieces, self.real_words, [None, *self.real_words]):
                piece["is_subword"] = before is not None and word == last
            return pieces
        for before, piece in zip([None, *pieces], pieces):
            start = piece["start"]
            spaced = any(letter.isspace() for letter in sentence[max(start - 1, 0) : start + 1])
            unknown = self.tokenizer.unk_token == self.tokenizer.convert_ids_to_tokens(int(self.ids[piece["index"]]))
            shared = before is not None and start < before["end"]
            piece["is_subword"] = before is not None and (shared or not (spaced or unknown))
        return pieces

    def entities(self, text: str, max_tokens: int) -> list[dict]:
        size = max_tokens - self.tokenizer.num_special_tokens_to_add()
        windows = self.tokenizer(
            text,
            truncation=True,
            max_length=max_tokens,
            stride=min(128, size // 2),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
        best = {}  # token of the text: how far it is from a cut, and what is known of it
        first = 0
        for number, encoding in enumerate(windows.encodings):
            places = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
            tensors = {"input_ids": torch.tensor([encoding.ids]), "attention_mask": torch.tensor([encoding.attention_mask])}
            if "token_type_ids" in self.tokenizer.model_input_names:
                tensors["token_type_ids"] = torch.tensor([encoding.type_ids])
            with torch.no_grad():
                logits = self.model(**tensors).logits[0]
            for at, place in enumerate(places):
                before = at if number else 10**9
                behind = len(places) - 1 - at if number + 1 < len(windows.encodings) else 10**9
                known = (encoding.ids[place], encoding.offsets[place], encoding.word_ids[place], logits[place].numpy())
                if first + at not in best or best[first + at][0] < min(before, behind):
                    best[first + at] = (min(before, behind), known)
            first += size - min(128, size // 2)
        if not best:
            return []
        known = [best[at][1] for at in range(len(best))]
        self.ids, offsets, words, logits = zip(*known)
        prefix = getattr(self.tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
        self.real_words = words if prefix else None
        output = {
            "logits": torch.tensor(np.stack(logits))[None],
            "sentence": text,
            "input_ids": torch.tensor(self.ids)[None],
            "offset_mapping": torch.tensor(offsets)[None],
            "special_tokens_mask": torch.zeros(1, len(best), dtype=torch.long),
        }
        strategy = transformers.pipelines.AggregationStrategy.FIRST
        found = self.postprocess([output], strategy)
        return without_blanks(text, found)


class Answers(QuestionAnsweringPipeline):
    """The likeliest answer of any window."""

    def postprocess(self, outputs, **kwargs):
        answers = [super(Answers, self).postprocess([output], **kwargs) for output in outputs]
        return max(answers, key=lambda answer: answer["score"])


def trimmed(text: str, found: dict, label: str | None) -> dict:
    start, end = found["start"], found["end"]
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    named = {"label": found[label], "text": text[start:end]} if label else {"answer": text[start:end]}
    return {**named, "start": start, "end": end, "score": float(found["score"])}


def without_blanks(text: str, found: list[dict]) -> list[dict]:
    entities = (trimmed(text, entity, "entity_group") for entity in found)
    return [entity for entity in entities if entity["text"]]


class Reference:
    """Pipelines of one folder."""

    def __init__(self, folder: Path, tokenizer=None):
        self.tokenizer = tokenizer or transformers.AutoTokenizer.from_pretrained(folder)
        self.max_tokens = self.tokenizer.model_max_length

        def made(pipeline, auto, **config):
            return pipeline(model=auto.from_pretrained(folder, **config).eval(), tokenizer=self.tokenizer)

        self.classes = made(TextClassificationPipeline, transformers.AutoModelForSequenceClassification)
        self.tags = made(Tags, transformers.AutoModelForTokenClassification)
        self.plain_tags = made(TokenClassificationPipeline, transformers.AutoModelForTokenClassification)
        self.answers = made(Answers, transformers.AutoModelForQuestionAnswering, num_labels=2)
        self.plain_answers = made(QuestionAnsweringPipeline, transformers.AutoModelForQuestionAnswering, num_labels=2)

    def classify(self, text: str) -> list[dict]:
        return self.classes(text, top_k=5, truncation=True)

    def tag(self, text: str) -> list[dict]:
        return self.tags.entities(text, self.max_tokens)

    def plain_tag(self, text: str) -> list[dict]:
        found = self.plain_tags(text, aggregation_strategy="first")
        return without_blanks(text, found)

    def answer(self, question: str, context: str, plain: bool = False) -> dict:
        added = self.tokenizer.num_special_tokens_to_add(pair=True)
        size = self.max_tokens - len(self.tokenizer(question, add_special_tokens=False).input_ids) - added
        settings = {"max_seq_len": self.max_tokens, "doc_stride": min(128, size // 2), "max_answer_len": 30}
        found = (self.plain_answers if plain else self.answers)(question=question, context=context, **settings)
        return trimmed(context, found, None)


def spread(name: str) -> float:
    """What makes tokens answer differently from each other, for the most part by themselves."""
    if name.endswith("bias"):
        return 0.05
    return 1.0 if name.startswith(("classifier", "qa_outputs")) or "embeddings.word" in name else 0.15


def write_checkpoint(folder: Path, family: str, vocabulary: int, tokens: int, seed: int) -> None:
    """One encoder with all heads. Weights of all three classes are in one file: no two share a name for another shape."""
    torch.manual_seed(seed)
    pad = 0 if family == "bert" else 1
    name = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta"}[family]
    config = getattr(transformers, f"{name}Config")(
        vocab_size=vocabulary,
        hidden_size=16,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=24,
        max_position_embeddings=tokens + 1 + pad,
        type_vocab_size=2 if family == "bert" else 1,
        pad_token_id=pad,
    )
    weights = {}
    for head in HEADS:
        config.num_labels = 2 if head == "ForQuestionAnswering" else len(LABELS)
        model = getattr(transformers, f"{name}{head}")(config)
        for key, value in model.state_dict().items():
            if "position_ids" not in key and key not in weights:
                weights[key] = torch.randn(value.shape) * spread(key) + ("LayerNorm.weight" in key)
    folder.mkdir(parents=True)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config.id2label = dict(enumerate(LABELS))
    config.label2id = {label: index for index, label in enumerate(LABELS)}
    config.architectures = [f"{name}ForTokenClassification"]
    config.save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for family, files in {"bert": ["vocab.txt"], "roberta": ["vocab.json", "merges.txt"]}.items():
        folder = args.out / family
        shutil.rmtree(folder, ignore_errors=True)
        source = TOKENIZERS / family
        count = len((source / files[0]).read_text(encoding="utf-8").splitlines()) if family == "bert" else 420
        write_checkpoint(folder, family, count, MAX_TOKENS, 5)
        for file in files:
            shutil.copy(source / file, folder)
        (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": MAX_TOKENS}) + "\n")
        reference = Reference(folder)
        expected = {
            "classify": [{"text": text, "labels": reference.classify(text)} for text in TEXTS],
            "tag": [{"text": text, "entities": reference.tag(text)} for text in TEXTS],
            "answer": [{"question": q, "context": c, **reference.answer(q, c)} for q, c in QUESTIONS],
        }
        lines = [f'"{task}": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]" for task, rows in expected.items()]
        (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
