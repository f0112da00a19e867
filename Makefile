# make demo: the few-label sweep on the digits that ship with scikit-learn. make test: the tests.
# LATENT_LAB_DATA=DIR (holding MNIST/raw and FashionMNIST/raw) adds the tests on real data.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test lint

demo: $(VENV)/installed
	$(BIN)/python train.py -m model=vae dataset=digits n_labels=50,100,300 classifier=linear_svc,spreading

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
