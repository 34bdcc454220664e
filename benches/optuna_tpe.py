"""Prints the regret of Optuna's default sampler on the functions of `tests/tpe.rs`.

For each function: the median over 30 seeds of the best value after 100 trials, minus the minimum.

    python3 -m venv venv && venv/bin/pip install optuna && venv/bin/python benches/optuna_tpe.py
"""
import math
import statistics

import optuna

SEEDS = 30
TRIALS = 100

HARTMANN_ALPHA = [1.0, 1.2, 3.0, 3.2]
HARTMANN_A = [
    [10, 3, 17, 3.5, 1.7, 8],
    [0.05, 10, 17, 0.1, 8, 14],
    [3, 3.5, 1.7, 10, 17, 8],
    [17, 8, 0.05, 10, 0.1, 14],
]
HARTMANN_P = [
    [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
    [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
    [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
    [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]


def floats(trial, *ranges):
    return [trial.suggest_float(f"x{at}", low, high) for at, (low, high) in enumerate(ranges)]


def sphere(trial):
    return sum(x * x for x in floats(trial, (-5, 5), (-5, 5)))


def branin(trial):
    x, y = floats(trial, (-5, 10), (0, 15))
    parabola = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return parabola**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def rosenbrock(trial):
    x = floats(trial, *[(-2, 2)] * 4)
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def hartmann(trial):
    x = floats(trial, *[(0, 1)] * 6)
    total = 0
    for alpha, a, p in zip(HARTMANN_ALPHA, HARTMANN_A, HARTMANN_P):
        total += alpha * math.exp(-sum(w * (v - q) ** 2 for w, v, q in zip(a, x, p)))
    return 3.322368011415511 - total


def training(trial):
    """A loss whose best learning rate depends on the optimiser."""
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    depth = trial.suggest_int("depth", 1, 8)
    optimiser = trial.suggest_categorical("optimiser", ["sgd", "adam", "rmsprop"])
    dropout = trial.suggest_float("dropout", 0, 0.6)
    best, penalty = {"sgd": (-1, 0.05), "adam": (-3, 0), "rmsprop": (-3.2, 0.03)}[optimiser]
    distance = math.log10(rate) - best
    return 0.15 * distance**2 + 0.02 * (depth - 4) ** 2 + 0.8 * (dropout - 0.25) ** 2 + penalty


def regret(function, seed):
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(function, n_trials=TRIALS)
    return study.best_value


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"Optuna {optuna.__version__}, {TRIALS} trials, median of {SEEDS} seeds")
    for function in [sphere, branin, rosenbrock, hartmann, training]:
        median = statistics.median(regret(function, seed) for seed in range(SEEDS))
        print(f"{function.__name__:12}{median:.5f}", flush=True)
