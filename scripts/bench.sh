#!/usr/bin/env bash
# The stages of each model on this machine. Numbers of one run belong together; compare ratios.
set -uo pipefail
bevel=$1 data=$2 bundles=$3
run() { "$bevel" bench "$@" || echo "skipped: $*"; }

for name in all-minilm-l6-v2 efficientnet-lite0; do
    [ -d "$bundles/$name.bevel" ] || "$bevel" convert "$name" -o "$bundles/$name.bevel"
done
run "$bundles/all-minilm-l6-v2.bevel" --variant fp32 --repeat 200
run "$bundles/all-minilm-l6-v2.bevel" --variant int8 --repeat 200
run "$bundles/efficientnet-lite0.bevel" --repeat 100
run yolox-nano "$data/vision/coco-mini/images/000000397133.jpg" --repeat 200
run moonshine-tiny "$data/speech/jfk.flac" --repeat 10
