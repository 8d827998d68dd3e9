"""Scaling laws from a set of training runs: the best size of model and number of tokens for a budget of compute.

Hoffmann et al. 2022 (arXiv 2203.15556), section 3.2 (approach 2, IsoFLOP profiles) and 3.3 (approach 3, a parametric loss).
Both are pure functions of the runs, in any order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.arguments import kind_of, not_one, one_number
from pipeline.errors import UserError

Floats = NDArray[np.float64]

SAME_BUDGET = 0.1
"""Runs form one IsoFLOP profile if the natural logarithms of their FLOPs are this close to the smallest of them."""
HUBER = 1e-3
"""The residual at which the Huber loss changes from square to linear (section 3.3)."""
_STARTS = 256  # how many points of the grid, those with the smallest loss, are refined
_ROUNDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A finished run: parameters, training tokens, final loss in nats per token, and FLOPs (default: 6 * params * tokens)."""

    params: float
    tokens: float
    loss: float
    flops: float | None = None

    @property
    def compute(self) -> float:
        """FLOPs of the training; if not given, 6 N D (Kaplan et al. 2020, arXiv 2001.08361, section 2.1)."""
        return 6.0 * self.params * self.tokens if self.flops is None else self.flops


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLaw:
    """factor * x ** exponent."""

    factor: float
    exponent: float

    def __call__(self, x: float) -> float:
        """The value at x."""
        return float(self.factor * x**self.exponent)


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoFlop:
    """The best model of each budget, and power laws of FLOPs through them."""

    budgets: tuple[float, ...]
    best_params: tuple[float, ...]
    best_tokens: tuple[float, ...]
    best_losses: tuple[float, ...]
    params: PowerLaw
    tokens: PowerLaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Parametric:
    """L(N, D) = E + A / N ** alpha + B / D ** beta; `error` is the mean Huber loss of log L at the fit."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    error: float

    def loss(self, params: float, tokens: float) -> float:
        """The predicted loss, in nats per token, of a model of this size trained on this many tokens."""
        return float(self.E + self.A * params**-self.alpha + self.B * tokens**-self.beta)

    def optimum(self, flops: float) -> tuple[float, float]:
        """Parameters and tokens with the smallest loss for 6 N D = `flops` (equation 4)."""
        both = self.alpha + self.beta
        balance = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        return balance * (flops / 6) ** (self.beta / both), (flops / 6) ** (self.alpha / both) / balance


def fit_isoflop(runs: Sequence[TrainedModel]) -> IsoFlop:
    """Fit a parabola of loss over log N to the runs of each budget, and power laws through the minima.

    UserError for fewer than two budgets, and for a budget with fewer than three sizes or a minimum outside of them.
    """
    _check(runs)
    profiles: list[list[TrainedModel]] = []
    for run in sorted(runs, key=lambda run: (run.compute, run.params, run.tokens, run.loss)):
        if profiles and math.log(run.compute / profiles[-1][0].compute) <= SAME_BUDGET:
            profiles[-1].append(run)
        else:
            profiles.append([run])
    if len(profiles) < 2:
        raise UserError(f"IsoFLOP profiles need at least two budgets; these {len(runs)} runs have one")
    minima = np.array([_minimum(profile) for profile in profiles])
    budgets, params, tokens, losses = minima.T
    return IsoFlop(
        budgets=tuple(budgets.tolist()),
        best_params=tuple(params.tolist()),
        best_tokens=tuple(tokens.tolist()),
        best_losses=tuple(losses.tolist()),
        params=_power_law(budgets, params),
        tokens=_power_law(budgets, tokens),
    )


def _minimum(profile: Sequence[TrainedModel]) -> tuple[float, float, float, float]:
    """FLOPs, parameters, tokens and loss at the bottom of one profile."""
    budget = float(np.exp(np.mean([math.log(run.compute) for run in profile])))
    sizes = np.log([run.params for run in profile])
    if len(np.unique(sizes)) < 3:
        raise UserError(
            f"the budget of {budget:.3g} FLOPs has {len(np.unique(sizes))} model sizes; at least 3 are needed"
        )
    middle = sizes.mean()
    square, slope, level = np.polyfit(sizes - middle, [run.loss for run in profile], 2)
    bottom = -slope / (2 * square) if square > 0 else math.inf
    if not sizes.min() <= middle + bottom <= sizes.max():
        raise UserError(
            f"the budget of {budget:.3g} FLOPs has its smallest loss outside the sizes tried, {math.exp(sizes.min()):.3g} "
            f"to {math.exp(sizes.max()):.3g} parameters; train a {'smaller' if slope > 0 else 'larger'} one"
        )
    # The tokens at the minimum, from a fit over the profile; without explicit FLOPs this is D = C / (6 N).
    spent = np.polyfit(sizes - middle, np.log([run.tokens for run in profile]), 1)
    tokens = float(np.exp(np.polyval(spent, bottom)))
    return budget, float(np.exp(middle + bottom)), tokens, float(level + slope * bottom + square * bottom**2)


def _power_law(x: Floats, y: Floats) -> PowerLaw:
    exponent, level = np.polyfit(np.log(x), np.log(y), 1)
    return PowerLaw(factor=float(np.exp(level)), exponent=float(exponent))


def fit_parametric(runs: Sequence[TrainedModel]) -> Parametric:
    """The five parameters of L(N, D) with the smallest mean Huber loss of log L.

    The best points of the paper's grid of starts (appendix D.3) are refined together by Levenberg-Marquardt steps on reweighted
    residuals, in place of the paper's L-BFGS; the best result is taken. UserError for fewer than five runs.
    """
    _check(runs)
    if len(runs) < 5:
        raise UserError(f"five parameters cannot be fitted to {len(runs)} runs; at least 5 are needed")
    ordered = sorted(runs, key=lambda run: (run.params, run.tokens, run.loss))
    n, d, losses = (np.log([getattr(run, name) for run in ordered]) for name in ("params", "tokens", "loss"))
    axes = ([0.0, 0.5, 1.0, 1.5, 2.0], [0.0, 0.5, 1.0, 1.5, 2.0], [-1.0, -0.5, 0.0, 0.5, 1.0], np.arange(0, 30, 5.0))
    alpha, beta, e, a, b = (axis.ravel() for axis in np.meshgrid(axes[0], axes[1], axes[2], axes[3], axes[3]))
    theta = np.stack([a, b, e, alpha, beta], axis=1)
    best = np.argsort(_huber(_residuals(theta, n, d, losses)[0]), kind="stable")[:_STARTS]
    theta, error = _refined(theta[best], n, d, losses)
    a, b, e, alpha, beta = theta[int(np.argmin(error))].tolist()
    return Parametric(E=math.exp(e), A=math.exp(a), B=math.exp(b), alpha=alpha, beta=beta, error=float(error.min()))


def _residuals(theta: Floats, n: Floats, d: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """log L̂ - log L for each start and run [S, R], and the derivatives with respect to (a, b, e, alpha, beta) [S, R, 5]."""
    a, b, e, alpha, beta = (column[:, None] for column in theta.T)
    terms = np.stack(np.broadcast_arrays(a - alpha * n, b - beta * d, e + 0 * n))
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    slopes = np.stack([*shares, -shares[0] * n, -shares[1] * d], axis=-1)
    return top + np.log(total) - losses, slopes


def _huber(residuals: Floats) -> Floats:
    """The mean Huber loss over the runs, for each start."""
    size = np.abs(residuals)
    mean: Floats = np.where(size <= HUBER, 0.5 * size**2, HUBER * (size - 0.5 * HUBER)).mean(axis=1)
    return mean


def _refined(theta: Floats, n: Floats, d: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Each start after its descent, and its error; steps that do not lower the error are not taken."""
    damping = np.full(len(theta), 1e-2)
    residuals, slopes = _residuals(theta, n, d, losses)
    error = _huber(residuals)
    for _ in range(_ROUNDS):
        weights = 1 / np.maximum(np.abs(residuals) / HUBER, 1.0)
        weighted = slopes * weights[..., None]
        curvature = np.einsum("srp,srq->spq", weighted, slopes)
        gradient = np.einsum("srp,sr->sp", weighted, residuals)
        scale = np.einsum("spp->sp", curvature)
        ridge = damping[:, None] * (scale + 1e-12)
        step = np.linalg.solve(curvature + ridge[:, :, None] * np.eye(5), -gradient[..., None])[..., 0]
        trial = theta + step
        with np.errstate(over="ignore", invalid="ignore"):
            trial_residuals, trial_slopes = _residuals(trial, n, d, losses)
            trial_error = _huber(trial_residuals)
        better = trial_error < error
        theta = np.where(better[:, None], trial, theta)
        residuals = np.where(better[:, None], trial_residuals, residuals)
        slopes = np.where(better[:, None, None], trial_slopes, slopes)
        error = np.where(better, trial_error, error)
        damping = np.clip(np.where(better, damping / 3, damping * 4), 1e-12, 1e12)
    return theta, error


def _check(runs: Sequence[TrainedModel]) -> None:
    not_one(runs, "runs", "TrainedModel", "model")
    for run in runs:
        if not isinstance(run, TrainedModel):
            raise TypeError(f"runs must be a list of TrainedModel, not of {kind_of(run)}")
        for name in ("params", "tokens", "loss"):
            one_number(getattr(run, name), name)
        if run.flops is not None:
            one_number(run.flops, "flops")
        if not all(math.isfinite(x) and x > 0 for x in (run.params, run.tokens, run.loss, run.compute)):
            raise UserError(f"{run}: parameters, tokens, loss and FLOPs must be positive and finite")
