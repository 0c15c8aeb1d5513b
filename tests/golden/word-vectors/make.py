#!/usr/bin/env python3
"""Writes embeddings.safetensors: what sentence-transformers makes of texts.txt with ../../../shared/golden/other/glove.

Key: `embeddings` f32 (4, 10), the mean over the words that are known. Made with sentence-transformers 6.2.0, without stop
words, as these are no part of the table. Tolerance: close.
"""

import argparse
from pathlib import Path

from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, WordEmbeddings
from sentence_transformers.sentence_transformer.modules.tokenizer import WhitespaceTokenizer

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path, help="vectors.txt of the golden case")
    args = parser.parse_args()
    words = WordEmbeddings.from_text_file(str(args.vectors), tokenizer=WhitespaceTokenizer(stop_words=[]))
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())], device="cpu")
    texts = (HERE / "texts.txt").read_text(encoding="utf-8").splitlines()
    save_file({"embeddings": model.encode(texts)}, HERE / "embeddings.safetensors")


main()
