# Two environments: .venv has the live side (what users install), .venv-test everything.
PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := jackd2 libportaudio2 liblo-tools gcc libc6-dev strace sox
WHEEL = dist/afx_live-*.whl

.PHONY: demo test lint types wheel bench clean system

demo: .venv/ready  ## render a bundled clip towards a bundled reference; no sound card, no torch
	.venv/bin/afx-live demo

.venv/ready: pyproject.toml $(wildcard effects/* presets/* realtime/*)
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --upgrade pip
	.venv/bin/pip install --quiet .
	touch $@

test: system wheel .venv-test/ready  ## install the wheel with the training side (5 GB) and test it
	.venv-test/bin/pip install --quiet --force-reinstall --no-deps $(WHEEL)
	.venv-test/bin/python -m pytest

.venv-test/ready: pyproject.toml | wheel
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --upgrade pip
	.venv-test/bin/pip install --quiet "$$(echo $(WHEEL))[train,dev]"
	touch $@

system:  ## a JACK server without a sound card, PortAudio, a foreign OSC client, and what watches the audio thread
	@which jackd oscsend cc strace sox >/dev/null && ldconfig -p | grep -q libportaudio || \
	  { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $(APT) >/dev/null; }

bench: .venv-bench/ready  ## measure against peers, which are installed only here (pedalboard is GPL): 15 minutes
	.venv-bench/bin/python bench/all.py

.venv-bench/ready: pyproject.toml bench/requirements.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/pip install --quiet -e '.[train,dev]' -r bench/requirements.txt
	touch $@

wheel: .venv/ready
	rm -rf dist build/lib build/bdist*
	.venv/bin/pip wheel --quiet --no-deps --wheel-dir dist .

lint: .venv-test/ready types
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/pyright --pythonpath .venv-test/bin/python

types:  ## rooms as pyright finds them: links, so that nothing needs to be installed
	mkdir -p build/types/afx_live
	for room in effects export presets realtime study training; do ln -sfn ../../../$$room build/types/afx_live/$$room; done

clean:
	rm -rf .venv .venv-test build dist afx-demo *.egg-info
