# Two environments: .venv has the live side (what users install), .venv-test everything.
# Both hold the exact versions of constraints.txt, so a release elsewhere never breaks these commands.
PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
APT := jackd2 libportaudio2 liblo-tools gcc libc6-dev strace sox chromium pipewire pipewire-bin pipewire-jack wireplumber dbus \
  lilv-utils lv2-dev sordi jalv ecasound ardour ffmpeg lsp-plugins-lv2 valgrind
SOURCES := $(shell find $(dir $(wildcard */__init__.py)) setup.py README.md LICENSE -type f -not -name '*.pyc')
WHEEL = dist/afx_live-*.whl
PINNED := --constraint constraints.txt --build-constraint constraints.txt
PIP_VERSION = $(shell sed -n 's/^pip==//p' constraints.txt)

# $(call environment,FOLDER): a new virtual environment with the pinned pip
define environment
	rm -rf $(1)
	$(PYTHON) -m venv $(1)
	$(1)/bin/pip install --quiet pip==$(PIP_VERSION)
endef

.PHONY: demo test quick latest lock lint types docs bench clean system

demo: .venv/ready  ## render a bundled clip towards a bundled reference; no sound card, no torch
	.venv/bin/afx-live demo

.venv/ready: dist/ready
	.venv/bin/pip install --quiet $(PINNED) "$$(echo $(WHEEL))[web]"
	.venv/bin/pip install --quiet --force-reinstall --no-deps $(WHEEL)
	touch $@

.venv/bin/pip: constraints.txt
	$(call environment,.venv)

dist/ready: .venv/bin/pip pyproject.toml $(SOURCES)  # the wheel
	rm -rf dist build/lib build/bdist*
	.venv/bin/pip wheel --quiet --no-deps $(PINNED) --wheel-dir dist .
	touch $@

test: system .venv-test/ready  ## install the wheel with the training side (5 GB) and test it
	.venv-test/bin/pip install --quiet --force-reinstall --no-deps $(WHEEL)
	.venv-test/bin/python -m pytest

quick: system .venv-test/ready  ## the tests that take less than about a second each: under a minute
	.venv-test/bin/pip install --quiet --force-reinstall --no-deps $(WHEEL)
	.venv-test/bin/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

.venv-test/ready: pyproject.toml constraints.txt | dist/ready
	$(call environment,.venv-test)
	.venv-test/bin/pip install --quiet $(PINNED) "$$(echo $(WHEEL))[train,dev,web]"
	touch $@

latest: system dist/ready  ## the quick tests with the newest versions that pyproject.toml allows
	$(call environment,.venv-latest)
	.venv-latest/bin/pip install --quiet "$$(echo $(WHEEL))[train,dev,web]"
	sed 's/ *;.*//' constraints.txt >build/locked.txt
	.venv-latest/bin/pip freeze --exclude afx_live | tr A-Z_ a-z- | grep -vxFf build/locked.txt || echo "the newest are those of constraints.txt"
	.venv-latest/bin/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

lock:  ## write constraints.txt anew: the newest versions that pyproject.toml allows, for every Python and platform
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	printf 'pip\nsetuptools\n' | build/lock/bin/uv pip compile --quiet --universal --python-version 3.10 --no-annotate \
	  --custom-compile-command 'make lock' --all-extras --upgrade pyproject.toml - -o constraints.txt

system:  ## JACK, PipeWire and a browser without a sound card or a screen, a foreign OSC client, what watches threads
	@which jackd oscsend cc strace sox chromium pw-jack wireplumber dbus-run-session lv2apply jalv ecasound ardour ffmpeg valgrind sordi >/dev/null && ldconfig -p | grep -q libportaudio || \
	  { $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq $(APT) >/dev/null; }

bench: .venv-bench/ready  ## measure against peers, which are installed only here (pedalboard is GPL): 15 minutes
	.venv-bench/bin/python bench/all.py

.venv-bench/ready: pyproject.toml constraints.txt bench/requirements.txt
	$(call environment,.venv-bench)
	.venv-bench/bin/pip install --quiet $(PINNED) -e '.[train,dev]' -r bench/requirements.txt
	.venv-bench/bin/python -m afx_live.native.build native  # as a wheel carries it
	touch $@

lint: .venv-test/ready types
	.venv-test/bin/ruff check
	.venv-test/bin/ruff format --check
	.venv-test/bin/pyright --pythonpath .venv-test/bin/python

docs: .venv-test/ready types  ## bring the tables and pictures of docs/ up to date
	PYTHONPATH=build/types .venv-test/bin/python docs/tables.py
	PYTHONPATH=build/types .venv-test/bin/python docs/terminal_picture.py

types:  ## rooms as pyright finds them: links, so that nothing needs to be installed
	mkdir -p build/types/afx_live
	for room in */__init__.py; do ln -sfn ../../../$${room%/*} build/types/afx_live/; done

clean:
	rm -rf .venv .venv-test .venv-latest build dist afx-demo *.egg-info
