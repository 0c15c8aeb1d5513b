#!/usr/bin/env bash
# Puts the GPU build of ONNX Runtime and the CUDA libraries that it asks for under target/onnxruntime/x86_64-cuda, from
# their PyPI wheels, once: 1.2 GB to fetch, 2.3 GB unpacked. Bevel takes CUDA's libraries from beside ONNX Runtime. The driver
# (580 or newer) comes from the system, and so does TensorRT 10, which has no wheels: libnvinfer10 and
# libnvonnxparsers10 of NVIDIA's package archive.
set -euo pipefail
cd "$(dirname "$0")/.."

version=1.28.0
if [ "$(uname -m)" != x86_64 ]; then
    echo "no GPU wheel for $(uname -m); on a Jetson take NVIDIA's build and set ORT_DYLIB_PATH" >&2
    exit 4
fi

folder=target/onnxruntime/x86_64-cuda
library=libonnxruntime.so.$version
if [ ! -f "$folder/$library" ]; then
    echo "fetching ONNX Runtime $version for CUDA 13 and NVIDIA's libraries (1.2 GB)"
    partial=$folder.partial
    rm -rf "$partial" && mkdir -p "$partial"
    cat >"$partial/requirements.txt" <<'END'
onnxruntime-gpu==1.28.0 --hash=sha256:3b3a63cecd239d72432cd44569d047de8f4d69e471cd5f60f7ac7fc8769be5ec
nvidia-cublas==13.1.0.3 --hash=sha256:ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
nvidia-cuda-nvrtc==13.0.88 --hash=sha256:ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cudnn-cu13==9.21.0.82 --hash=sha256:f11b5ef83acf79e82c07943c2f2f74830d31943e90050570d6ec9f6a99394cbb
nvidia-cufft==12.0.0.61 --hash=sha256:6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3
nvidia-curand==10.4.0.35 --hash=sha256:1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc
END
    # The wheels of one Python version, whichever runs here, so that there is one hash.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --python-version 3.12 --implementation cp \
        --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 \
        --dest "$partial" --requirement "$partial/requirements.txt"
    for wheel in "$partial"/*.whl; do
        python3 -m zipfile -e "$wheel" "$partial/wheel"
        rm "$wheel"
    done
    mv "$partial"/wheel/onnxruntime/{LICENSE,ThirdPartyNotices.txt} "$partial/"
    mv "$partial"/wheel/onnxruntime/capi/libonnxruntime*.so* "$partial/"
    find "$partial/wheel/nvidia" -name 'lib*.so*' -exec mv -t "$partial" {} +
    rm -rf "$partial/wheel" "$partial/requirements.txt" "$folder"
    ln -sfn "$library" "$partial/libonnxruntime.so"
    mv "$partial" "$folder"
fi
echo "export ORT_DYLIB_PATH=$PWD/$folder/libonnxruntime.so"
