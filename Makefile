# make demo: two of the experiments on the digits that ship with scikit-learn, a minute of one core. make test: the tests.
# LATENT_LAB_DATA=DIR (holding MNIST/raw and FashionMNIST/raw) adds the tests on real data.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint

demo: $(VENV)/installed
	$(BIN)/python train.py experiment=demo sweep=demo
	$(BIN)/python train.py experiment=demo_gan sweep=demo_gan
	@echo
	@echo "In a browser: outputs/sweeps/demo/report.html, outputs/sweeps/demo_gan/report.html; samples of the VAE:"
	@ls -t outputs/fits/vae-digits-*/pictures/samples.png | head -n 1

# A process for each core with one thread: networks as small as the tests' gain nothing by more.
test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@
