# `make demo` and `make test` prepare what they need first; the second start finds it done.
CORES ?= $(shell nproc)
SNAKEMAKE = .venv/bin/snakemake

.PHONY: demo test test-all setup

demo: .venv/.ready
	$(SNAKEMAKE) --cores $(CORES)

# `test-all` runs the large tests, too.
test test-all: .venv/.ready
	bash envs/test-packages.sh
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/snakefmt --check Snakefile workflow
	$(SNAKEMAKE) --lint
	.venv/bin/pytest $(if $(filter test-all,$@),--large)

setup: .venv/.ready

.venv/.ready: envs/setup.sh envs/requirements.lock envs/system-packages.txt pyproject.toml
	bash envs/setup.sh
