"""Scaling laws on made runs whose law is known."""

import random

import pytest

from pipeline.errors import UserError
from pipeline.train.scaling import Parametric, TrainedModel, fit_isoflop, fit_parametric

# Chinchilla's own fit (Hoffmann et al. 2022, equation 10).
LAW = Parametric(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28, error=0.0)
BUDGETS = (6e18, 3e19, 1e20, 6e20, 3e21)


def profile(budget: float, spread: float = 1.0) -> list[TrainedModel]:
    best, _ = LAW.optimum(budget)
    sizes = [best * 2 ** (spread * k / 2) for k in range(-4, 5)]
    return [TrainedModel(params=n, tokens=budget / 6 / n, loss=LAW.loss(n, budget / 6 / n)) for n in sizes]


def runs(noise: float = 0.0) -> list[TrainedModel]:
    draw = random.Random(3)
    made = [run for budget in BUDGETS for run in profile(budget)]
    return [TrainedModel(params=r.params, tokens=r.tokens, loss=r.loss * (1 + draw.gauss(0, noise))) for r in made]


def test_the_optimum_is_where_the_loss_is_least() -> None:
    for budget in BUDGETS:
        n, d = LAW.optimum(budget)
        assert 6 * n * d == pytest.approx(budget)
        assert all(LAW.loss(n * f, d / f) > LAW.loss(n, d) for f in (0.5, 0.9, 1.1, 2.0))


def test_the_parametric_fit_finds_the_law() -> None:
    fit = fit_parametric(runs())
    assert fit.error < 1e-12
    for name in ("E", "A", "B", "alpha", "beta"):
        assert getattr(fit, name) == pytest.approx(getattr(LAW, name), rel=1e-3), name
    assert fit.optimum(1e24) == pytest.approx(LAW.optimum(1e24), rel=1e-2)


def test_the_parametric_fit_bears_noise_and_outliers() -> None:
    noisy = runs(noise=0.002)
    noisy[7] = TrainedModel(
        params=noisy[7].params, tokens=noisy[7].tokens, loss=noisy[7].loss * 1.5
    )  # one that diverged
    fit = fit_parametric(noisy)
    for name, room in (("alpha", 0.05), ("beta", 0.05), ("E", 0.1)):
        assert getattr(fit, name) == pytest.approx(getattr(LAW, name), abs=room), name


def test_isoflop_profiles_find_the_exponents() -> None:
    fit = fit_isoflop(runs())
    # The profiles of this law are nearly, not quite, parabolas of log N; their bottoms move by one factor alike.
    assert fit.params.exponent == pytest.approx(LAW.beta / (LAW.alpha + LAW.beta), abs=0.005)
    assert fit.tokens.exponent == pytest.approx(LAW.alpha / (LAW.alpha + LAW.beta), abs=0.005)
    assert fit.params.exponent + fit.tokens.exponent == pytest.approx(1.0)
    assert fit.budgets == pytest.approx(BUDGETS)
    for budget, n, d, loss in zip(fit.budgets, fit.best_params, fit.best_tokens, fit.best_losses, strict=True):
        assert 6 * n * d == pytest.approx(budget)
        assert n == pytest.approx(LAW.optimum(budget)[0], rel=0.1)
        assert loss == pytest.approx(LAW.loss(*LAW.optimum(budget)), rel=0.002)
        assert fit.params(budget) == pytest.approx(n, rel=0.01)


def test_exact_parabolas_are_met_exactly() -> None:
    def made(budget: float, best: float) -> list[TrainedModel]:
        return [
            TrainedModel(params=best * f, tokens=budget / (6 * best * f), loss=2 + 0.1 * e * e)
            for f, e in ((0.5, -1), (1.0, 0), (2.0, 1), (4.0, 2))
        ]

    fit = fit_isoflop([*made(6e20, 4e8), *made(6e18, 4e7)])
    assert fit.best_params == pytest.approx((4e7, 4e8))
    assert fit.best_losses == pytest.approx((2.0, 2.0))
    assert (fit.params.exponent, fit.tokens.exponent) == pytest.approx((0.5, 0.5))


def test_the_order_of_the_runs_does_not_matter() -> None:
    some = runs(noise=0.01)
    mixed = random.Random(1).sample(some, len(some))
    assert fit_isoflop(mixed) == fit_isoflop(some)
    assert fit_parametric(mixed) == fit_parametric(some)


def test_given_flops_make_the_profiles() -> None:
    some = [TrainedModel(params=r.params, tokens=r.tokens, loss=r.loss, flops=2 * r.compute) for r in runs()]
    assert fit_isoflop(some).budgets == pytest.approx([2 * budget for budget in BUDGETS])


def test_too_few_runs_are_refused() -> None:
    one = profile(1e20)
    with pytest.raises(UserError, match="two budgets"):
        fit_isoflop(one)
    with pytest.raises(UserError, match="two budgets"):
        fit_isoflop([])
    with pytest.raises(UserError, match=r"6e\+18 FLOPs has 2 model sizes; at least 3 are needed"):
        fit_isoflop([*one, *profile(6e18)[:2]])
    with pytest.raises(UserError, match="train a smaller one"):
        fit_isoflop([*one, *profile(6e18)[6:]])
    with pytest.raises(UserError, match="train a larger one"):
        fit_isoflop([*one, *profile(6e18)[:3]])
    with pytest.raises(UserError, match="to 4 runs"):
        fit_parametric(one[:4])
    for bad in (0.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="positive and finite"):
            fit_parametric([*one, TrainedModel(params=1e6, tokens=1e9, loss=bad)])
