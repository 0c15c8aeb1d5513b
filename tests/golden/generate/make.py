#!/usr/bin/env python3
"""Writes checkpoint/ and greedy.json: a GPT-2 of 40,000 parameters that knows the sentences of runtime/cli/assets by heart, and
what `generate` of transformers makes of beginnings of them without sampling.

greedy.json: for each prompt the new ids, the end token left out, and what they add to the text; at most 24 tokens each. The
checkpoint is saved in float16 and read as float32. Made with transformers 5.23.0, tokenizers 0.23 and torch 2.15.0; the
smallest gap between the likeliest token and the next is printed. Tolerance: exact.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
SENTENCES = (HERE.parents[2] / "runtime/cli/assets/sentences.txt").read_text().splitlines()
END = "<|endoftext|>"
NEW_TOKENS = 24
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def tokenizer(folder: Path) -> transformers.PreTrainedTokenizerFast:
    own = Tokenizer(models.BPE())
    own.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    own.decoder = decoders.ByteLevel()
    own.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=[END], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    own.train_from_iterator(SENTENCES, trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=own, bos_token=END, eos_token=END, model_max_length=64)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return fast


def main() -> None:
    torch.manual_seed(0)
    folder = HERE / "checkpoint"
    shutil.rmtree(folder, ignore_errors=True)
    tokens = tokenizer(folder)
    config = transformers.GPT2Config(
        vocab_size=320, n_positions=64, n_embd=32, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )
    model = transformers.GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=0.0)
    batch = tokens(["".join([s, END]) for s in SENTENCES], truncation=True, max_length=64, padding=False)["input_ids"]
    longest = max(map(len, batch))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch])
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in batch])
    steps = 400
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    print("loss", loss.item())
    model.half().save_pretrained(folder)

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    answers, gap = {}, float("inf")
    for sentence in [s[: len(s) // 3] for s in SENTENCES[:6]] + [SENTENCES[2][:-4], "Größe: ", ""]:
        read = tokens(sentence, return_tensors="pt")["input_ids"] if sentence else torch.tensor([[0]])
        answered = model.generate(
            read, do_sample=False, max_new_tokens=NEW_TOKENS, output_scores=True, return_dict_in_generate=True, pad_token_id=0
        )
        best = torch.cat(answered.scores).topk(2).values
        gap = min(gap, (best[:, 0] - best[:, 1]).min().item())
        whole = answered.sequences[0].tolist()
        new = [id for id in whole[read.shape[1] :] if id != 0]
        text = tokens.decode(whole, skip_special_tokens=True)
        answers[sentence] = {"text": text.removeprefix(sentence), "ids": new}
    print("smallest gap", gap)
    lines = [f"  {json.dumps(prompt, ensure_ascii=False)}: {json.dumps(a, ensure_ascii=False)}" for prompt, a in answers.items()]
    (HERE / "greedy.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
