#!/usr/bin/env bash
# The main job on real input: convert MiniLM and EfficientNet-Lite0, then answer for text, pictures
# and speech. What cannot be had is named, and the rest goes on.
set -uo pipefail
bevel=$1 data=$2 bundles=$3
cache=models/.cache
failed=0

step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*" && "$@" || failed=1; }

step "models (fetched once, hash-checked)"
"$bevel" models pull --from "$data/vision" || echo "going on without what could not be pulled"

step "a sentence encoder: checkpoint to quantised bundle to vectors"
show "$bevel" convert all-minilm-l6-v2 -o "$bundles/all-minilm-l6-v2.bevel"
show "$bevel" run "$bundles/all-minilm-l6-v2.bevel" "Good morning" "Guten Morgen" "The bridge is closed"

step "a picture classifier: PyTorch checkpoint to bundle to labels"
# With pictures to calibrate with it is quantised, too.
calibrate=()
[ -d "$data/vision/calibration" ] && calibrate=(--calibrate "$data/vision/calibration" --eval "$data/vision/imagenet-sample")
show "$bevel" convert efficientnet-lite0 -o "$bundles/efficientnet-lite0.bevel" "${calibrate[@]}"
photo=$(ls "$data"/vision/imagenet-sample/*.jpg 2>/dev/null | head -n 1)
if [ -n "$photo" ]; then
    show "$bevel" run "$bundles/efficientnet-lite0.bevel" "$photo" --top-k 3
else
    show "$bevel" run "$bundles/efficientnet-lite0.bevel" docs/coffee.jpg --top-k 3
fi

step "a detector: plain ONNX with its recipe to boxes"
picture=$(ls "$data"/vision/coco-mini/images/*.jpg 2>/dev/null | head -n 1)
if [ -f "$cache/yolox-nano/yolox_nano.onnx" ]; then
    show "$bevel" run "$cache/yolox-nano/yolox_nano.onnx" --recipe models/detect/yolox-nano.toml \
        "${picture:-docs/coffee.jpg}" --output target/demo
    echo "the picture with its boxes: target/demo/$(basename "${picture:-docs/coffee.jpg}")"
else
    echo "yolox-nano is not here (neither $data/vision nor the release file could be had): skipped"
fi

step "speech to text"
recording=$data/speech/jfk.flac
[ -f "$recording" ] || recording=$cache/moonshine-tiny/beckett.wav
if [ -f "$recording" ]; then
    show "$bevel" run moonshine-tiny "$recording"
    # With transcripts to score with it is quantised, and short speech is heard in a short window.
    eval=()
    [ -d "$data/speech" ] && eval=(--eval "$data/speech")
    show "$bevel" convert whisper-base -o "$bundles/whisper-base.bevel" "${eval[@]}"
    show "$bevel" run "$bundles/whisper-base.bevel" "$recording" --timestamps words --format srt
    step "speech to text while it is spoken, here from a file as fast as it was"
    show "$bevel" listen moonshine-tiny --input "$recording"
else
    echo "no recording at hand: skipped"
fi

step "what of this machine can be used"
show "$bevel" doctor
exit $failed
