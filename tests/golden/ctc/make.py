"""CTC decoding: pyctcdecode 0.5.0 with kenlm 0.3.0, and the tokenizer of transformers 5.23.

    pip install pyctcdecode==0.5.0 kenlm==0.3.0 transformers==5.23.0 torch==2.15.0 soundfile
    TORCHAUDIO=torchaudio python make.py   # the folder of an unpacked torchaudio 2.11

Writes model.arpa (random numbers over real words) and cases.json:
  grams   log10 probabilities of words, one by one, as KenLM scores them
  greedy  logits: frames of the likeliest path and what Wav2Vec2CTCTokenizer makes of them
  beams   logits and the best hypothesis of pyctcdecode: text and scores. Its frames are those of the
          first path it met, not of the likeliest, and are not compared.
          Those called `exact` are short enough to keep every prefix; the others keep 1,000 within 25
          nats, and tokens above −5 as by default.
and sound.json: the model of ../sound/wav2vec2 on ../sound/noise.wav. `words` are those of the likeliest path
with start and end in seconds, as transformers documents it (word offset · inputs_to_logits_ratio / sampling
rate); `deepspeech` is what torchaudio's model in deepspeech/ answers.

One thing is mended: behind a space at the end pyctcdecode asks the language model about an empty word,
which is unknown and costs about 10 nats at the default weights; `Model` asks about the end alone.
"""

import importlib.util
import json
import logging
import os
import random
import tempfile

import kenlm
import numpy as np
import soundfile
import torch
from pyctcdecode import Alphabet, BeamSearchDecoderCTC, LanguageModel, build_ctcdecoder
from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC, Wav2Vec2Processor, WhisperFeatureExtractor

logging.disable(logging.WARNING)
HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = "a bad bead cab cafe dad dead deaf fad face fed bed ace add".split()
LABELS = ["", "|"] + list("abcdef")


class Model(LanguageModel):
    def score(self, prev_state, word, is_last_word=False):
        if word:
            return super().score(prev_state, word, is_last_word)
        return self.alpha * self._get_raw_end_score(prev_state) * np.log(10), prev_state


def arpa(rng):
    """All words, some pairs, some triples whose first two are a pair; three triples may lack their last two."""
    one = [("<unk>", -3.2, None), ("<s>", -99.0, -0.35), ("</s>", -1.3, None)]
    one += [(w, round(rng.uniform(-2.5, -0.7), 4), round(rng.uniform(-0.8, 0.0), 4)) for w in WORDS]
    left = ["<s>"] + WORDS
    pairs = sorted({(rng.choice(left), rng.choice(WORDS + ["</s>"])) for _ in range(60)})
    open_pairs = [p for p in pairs if p[1] != "</s>"]
    triples = sorted({(*rng.choice(open_pairs), rng.choice(WORDS + ["</s>"])) for _ in range(50)})
    # KenLM has little room for pairs that are missing.
    pairs = sorted({*pairs, *(t[1:] for t in triples[3:])})
    two = [(p, round(rng.uniform(-1.8, -0.2), 4), None if p[1] == "</s>" else round(rng.uniform(-0.6, 0.0), 4)) for p in pairs]
    three = [(t, round(rng.uniform(-1.5, -0.1), 4), None) for t in triples]
    lines = ["\\data\\", f"ngram 1={len(one)}", f"ngram 2={len(two)}", f"ngram 3={len(three)}", ""]
    for order, grams in enumerate([one, two, three], 1):
        lines.append(f"\\{order}-grams:")
        for words, prob, back in grams:
            words = words if isinstance(words, str) else " ".join(words)
            lines.append(f"{prob}\t{words}" + ("" if back is None else f"\t{back}"))
        lines.append("")
    lines.append("\\end\\")
    with open(os.path.join(HERE, "model.arpa"), "w") as file:
        file.write("\n".join(lines) + "\n")


def grams(rng, model):
    cases = []
    for _ in range(40):
        words = [rng.choice(WORDS + ["gag"]) for _ in range(rng.randint(0, 6))]
        scores = [score for score, _, _ in model.full_scores(" ".join(words))]
        cases.append({"words": words, "scores": scores})
    return cases


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def spoken(nprng, rng, words, peak, noise):
    """Logits of words: each character for one to three frames, blanks between, noise over all."""
    path = [0]
    for character in "|".join(words):
        path += [LABELS.index(character)] * rng.randint(1, 3) + [0] * rng.randint(1, 3)
    logits = nprng.normal(0, noise, (len(path), len(LABELS)))
    logits[np.arange(len(path)), path] += peak
    return logits


def settle(logits):
    """To four digits, as the file has them."""
    return np.round(log_softmax(logits), 4)


def beams(rng, nprng, path):
    plain = build_ctcdecoder(LABELS)
    lm = BeamSearchDecoderCTC(Alphabet.build_alphabet(LABELS), Model(kenlm.Model(path), WORDS))
    cases = []

    def case(name, log_probs, model, hot, exact):
        decoder = lm if model else plain
        cut = {"beam_width": 1_000_000, "beam_prune_logp": -1e9, "token_min_logp": -1e9}
        if not exact:
            cut = {"beam_width": 1_000, "beam_prune_logp": -25.0}
        text, _, _, log_prob, score = decoder.decode_beams(log_probs.astype(np.float64), hotwords=hot, **cut)[0]
        cases.append({
            "name": name, "exact": exact, "model": model, "hot_words": hot,
            "logits": log_probs.tolist(), "text": text,
            "log_prob": float(log_prob), "score": float(score),
        })

    modes = [(False, []), (True, []), (False, ["face", "dead bed"]), (True, ["gab", "deaf"])]
    for at in range(24):
        model, hot = modes[at % 4]
        log_probs = settle(nprng.normal(0, 2, (5, len(LABELS))))
        case(f"exact {at}", log_probs, model, hot, True)
    for at in range(24):
        model, hot = modes[at % 4]
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 5))]
        log_probs = settle(spoken(nprng, rng, words, 7.0, 1.0))
        case(f"{at}: {' '.join(words)}", log_probs, model, hot, False)
    return cases


def greedy(rng, nprng):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocab.json")
        vocabulary = {"<pad>": 0, "|": 1} | {c: 2 + i for i, c in enumerate("abcdef")}
        with open(path, "w") as file:
            json.dump(vocabulary | {"<unk>": 8}, file)
        tokenizer = Wav2Vec2CTCTokenizer(path, unk_token="<unk>", pad_token="<pad>", bos_token=None, eos_token=None)
    cases = []
    for at in range(12):
        words = [rng.choice(WORDS) for _ in range(rng.randint(0, 5))]
        log_probs = settle(spoken(nprng, rng, words, 6.0, 2.0))
        found = tokenizer.decode(log_probs.argmax(axis=1), output_word_offsets=True)
        offsets = [[w["word"], int(w["start_offset"]), int(w["end_offset"])] for w in found.word_offsets]
        cases.append({"name": f"{at}: {' '.join(words)}", "logits": log_probs.tolist(),
                      "text": found.text, "words": offsets})
    return cases


def sound():
    folder = os.path.join(HERE, "../sound/wav2vec2")
    processor = Wav2Vec2Processor.from_pretrained(folder)
    model = Wav2Vec2ForCTC.from_pretrained(folder).eval()
    samples, rate = soundfile.read(os.path.join(HERE, "../sound/noise.wav"), dtype="float32")
    with torch.inference_mode():
        logits = model(**processor(samples, sampling_rate=rate, return_tensors="pt")).logits[0]
    found = processor.tokenizer.decode(logits.argmax(-1), output_word_offsets=True)
    seconds = model.config.inputs_to_logits_ratio / rate
    words = [[w["word"], float(w["start_offset"] * seconds), float(w["end_offset"] * seconds)] for w in found.word_offsets]
    return {"words": words, "deepspeech": deepspeech(samples)}


def deepspeech(samples):
    """Random weights; torchaudio says nothing of its features, so they are Whisper's with other sizes."""
    file = os.path.join(os.environ["TORCHAUDIO"], "models", "deepspeech.py")
    spec = importlib.util.spec_from_file_location("deepspeech", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    torch.manual_seed(3)
    labels = ["a", "b", "c", "<blank>", "d", "|", "e", "f"]
    model = module.DeepSpeech(20, n_hidden=16, n_class=len(labels)).eval()
    folder = os.path.join(HERE, "deepspeech")
    os.makedirs(folder, exist_ok=True)
    with torch.inference_mode():
        for name, parameter in model.named_parameters():
            if "weight_hh" not in name:
                parameter.mul_(4.0)
        torch.save(model.state_dict(), os.path.join(folder, "model.pt"))
        with open(os.path.join(folder, "labels.txt"), "w") as file:
            file.write("\n".join(labels) + "\n")
        extractor = WhisperFeatureExtractor(feature_size=20, hop_length=320, n_fft=512)
        features = extractor(samples, sampling_rate=16_000, padding=False, truncation=False, return_tensors="pt")
        features = features.input_features.transpose(1, 2)[:, None]
        ids = model(features)[0].argmax(-1).tolist()
    runs = [labels[id] for at, id in enumerate(ids) if at == 0 or ids[at - 1] != id]
    return " ".join("".join(runs).replace("<blank>", "").replace("|", " ").split())


def main():
    rng, nprng = random.Random(6), np.random.default_rng(6)
    arpa(rng)
    path = os.path.join(HERE, "model.arpa")
    out = {
        "labels": LABELS,
        "grams": grams(rng, kenlm.Model(path)),
        "greedy": greedy(rng, nprng),
        "beams": beams(rng, nprng, path),
    }
    with open(os.path.join(HERE, "cases.json"), "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")
    with open(os.path.join(HERE, "sound.json"), "w") as file:
        json.dump(sound(), file, indent=1)
        file.write("\n")


main()
