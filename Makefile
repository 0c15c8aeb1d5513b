# The one entry point. `make help` lists the targets; `make demo` and `make test` do all set-up.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup gpu-setup tools models demo test test-gpu header install lint fmt doc bench cross test-cross fuzz check clean

CARGO := cargo
DATA := ../shared/data
BUNDLES := target/bundles
RELEASE := target/release/bevel
DEV := target/debug/bevel
FUZZ := tests/fuzz
# Written by `setup`: nothing, or what leaves the microphone out where it cannot be built.
FLAGS = $$(cat target/cargo-flags)
export ORT_DISABLE_TELEMETRY := 1

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 12

tools: ## Name what is missing, with the command that installs it
	@missing=0; \
	need() { command -v $$1 >/dev/null || { echo "missing: $$1; install it: $$2" >&2; missing=1; }; }; \
	need cargo "https://rustup.rs or apt-get install rustup"; \
	need cc "apt-get install build-essential"; \
	need python3 "apt-get install python3 python3-pip"; \
	need curl "apt-get install curl"; \
	python3 -m pip --version >/dev/null 2>&1 \
		|| { echo "missing: pip; install it: apt-get install python3-pip" >&2; missing=1; }; \
	exit $$missing

setup: tools ## Fetch ONNX Runtime, ALSA's headers, tools for C and the Rust dependencies
	@scripts/onnxruntime.sh
	@scripts/alsa.sh >target/cargo-flags
	@scripts/c-tools.sh
	@$(CARGO) fetch --locked --quiet || $(CARGO) fetch --locked --offline

gpu-setup: ## Fetch ONNX Runtime for NVIDIA GPUs, and CUDA's libraries (1.2 GB)
	@scripts/onnxruntime-gpu.sh

$(RELEASE): FORCE | setup
	@$(CARGO) build --release --locked -p bevel-cli $(FLAGS)

$(DEV): FORCE | setup
	@$(CARGO) build --locked --workspace --all-targets $(FLAGS)

FORCE:

# YOLOX-nano comes from a release file, which not every machine can reach: the rest goes on without.
PULL = models pull --from $(DATA)/vision

models: $(RELEASE) ## Fetch the models of the catalogue into models/.cache, hash-checked
	@$(RELEASE) $(PULL)

# Reconverted whenever it is asked for: a bundle of yesterday's converter proves nothing. MiniLM gets both variants by
# name, because `auto` drops one that is slower on a machine at this moment, and tests need both.
CONVERT = for job in "all-minilm-l6-v2 --quantize fp32,int8" efficientnet-lite0 whisper-base; do \
	$(1) convert $$job -o $(BUNDLES)/$${job%% *}.bevel; done

demo: $(RELEASE) ## Set up, convert, and answer for text, pictures and speech
	@scripts/demo.sh $(RELEASE) $(DATA) $(BUNDLES)

test: $(DEV) ## Set up and pass the tests
	@command -v cargo-nextest >/dev/null || $(CARGO) install --locked cargo-nextest
	@$(DEV) $(PULL) || [ -z "$${BEVEL_REQUIRE:-}" ]
	@$(call CONVERT,$(DEV)) >/dev/null || [ -z "$${BEVEL_REQUIRE:-}" ]
	@$(CARGO) test --locked --workspace $(FLAGS) --doc --quiet
	@rm -f target/skipped.txt
	@status=0; $(CARGO) nextest run --locked --workspace $(FLAGS) --no-fail-fast || status=$$?; \
	if [ -f target/skipped.txt ]; then sort target/skipped.txt; fi; exit $$status

header: ## Write the C header from the source of the C interface
	@BEVEL_WRITE_HEADER=1 $(CARGO) test --locked -p bevel-tests --test capi_header --quiet

PREFIX := /usr/local
DESTDIR :=
install: ## Install libbevel, its headers and bevel.pc under DESTDIR and PREFIX
	@$(CARGO) build --release --locked -p bevel-capi
	@scripts/install-capi.sh target/release "$(PREFIX)" "$(DESTDIR)"

# Optimised, because it tells how long answers take. Skips aloud what this machine lacks.
test-gpu: setup ## Compare answers and speed of CUDA and TensorRT with the CPU
	@$(CARGO) build --release --locked -p bevel-cli $(FLAGS)
	@rm -f target/skipped.txt
	@status=0; $(CARGO) test --release --locked -p bevel-tests --test gpu -- --nocapture --test-threads 1 || status=$$?; \
	if [ -f target/skipped.txt ]; then sort target/skipped.txt; fi; exit $$status

lint: setup ## Check format, lints and documentation
	@$(CARGO) fmt --all --check
	@$(CARGO) fmt --manifest-path $(FUZZ)/Cargo.toml --check
	@$(CARGO) clippy --locked --workspace $(FLAGS) --all-targets --quiet -- -D warnings
	@for only in runtime text vision speech listen; do \
		$(CARGO) clippy --locked -p bevel-cli --no-default-features --features runtime,$$only --quiet -- -D warnings; \
	done
	@$(CARGO) clippy --locked -p bevel --all-targets --all-features --quiet -- -D warnings
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --offline check bans licenses sources; fi

fmt: ## Format the code
	@$(CARGO) fmt --all
	@$(CARGO) fmt --manifest-path $(FUZZ)/Cargo.toml

doc: setup ## Build the documentation
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace $(FLAGS) --no-deps

bench: $(RELEASE) ## Measure the stages of each model
	@scripts/bench.sh $(RELEASE) $(DATA) $(BUNDLES)

cross: ## Build for a board, such as T=rpi4, into target/cross
	@scripts/cross.sh $(T)

# Programs of one task are built for their size, twenty minutes all in all.
test-cross: $(DEV) ## Build for ARM and compare its answers, emulated, with those of this machine
	@command -v cargo-nextest >/dev/null || $(CARGO) install --locked cargo-nextest
	@scripts/qemu.sh
	@$(DEV) $(PULL)
	@$(call CONVERT,$(DEV)) >/dev/null
	@for task in text vision speech; do \
		FEATURES=runtime,$$task scripts/cross.sh generic-aarch64; \
		mv target/cross/generic-aarch64/bevel target/cross/generic-aarch64/bevel-$$task; \
	done
	@scripts/cross.sh generic-aarch64
	@scripts/cross.sh generic-armv7
	@BEVEL_REQUIRE=models $(CARGO) nextest run --locked -p bevel-tests --run-ignored all --success-output final -E 'binary(cross) | test(in_qemu)'

# Nightly alone has the instrumentation; a run that finds something stops with the input's path.
SECONDS := 300
fuzz: ## Fuzz every checkpoint reader for SECONDS each
	@cargo +nightly fuzz --version >/dev/null 2>&1 || { echo "missing: cargo-fuzz or the nightly toolchain;" \
		"install them: rustup toolchain install nightly && cargo install --locked cargo-fuzz" >&2; exit 1; }
	@for target in $$(cargo +nightly fuzz list --fuzz-dir $(FUZZ)); do \
		mkdir -p $(FUZZ)/corpus/$$target; \
		cargo +nightly fuzz run --fuzz-dir $(FUZZ) $$target $(FUZZ)/corpus/$$target $(FUZZ)/seeds/$$target \
			-- -max_total_time=$(SECONDS) -rss_limit_mb=2048; \
	done

check: lint test ## What CI runs

clean: ## Remove what was built; pulled models stay
	@$(CARGO) clean
