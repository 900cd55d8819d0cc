"""Each exact claim of the ledger by its program: it holds, and the wrong variant beside it does not."""

import json
import math
from functools import cache

import numpy as np
import pytest
import torch

from bnrepro.analysis.reading.statistics import geometric
from bnrepro.cli import identities
from bnrepro.identities import convolution, record, scaling, statistics, toys, whitening
from bnrepro.identities.record import PROGRAMS
from conftest import ROOT

EXACT = 1e-9
TIMED = {"C08", "S10"}


@cache
def numbers(claim: str) -> dict[str, float]:
    return PROGRAMS[claim]()


@pytest.mark.parametrize("claim", sorted(PROGRAMS.keys() - TIMED))
def test_a_program_gives_named_plain_numbers_and_says_what_they_are(claim):
    measured = numbers(claim)
    assert measured and all(type(value) is float and math.isfinite(value) for value in measured.values())
    assert all(name.isidentifier() and name == name.lower() for name in measured)
    assert PROGRAMS[claim].__doc__


@pytest.mark.parametrize("claim", sorted(PROGRAMS.keys() - TIMED - {"C06", "C07", "S7", "S9"}))
def test_a_program_gives_the_same_bits_again(claim):
    torch.manual_seed(7)
    assert PROGRAMS[claim]() == numbers(claim)


def test_c03_an_upper_network_learns_as_if_alone():
    measured = numbers("C03")
    assert measured["gradient_difference"] < EXACT
    assert measured["parameter_difference"] < EXACT
    assert measured["stale_relative_difference"] > 1e-4


def test_c06_the_bias_runs_away_at_constant_loss():
    measured = numbers("C06")
    assert [measured[f"bias_at_{step}"] for step in (250, 500, 750, 1000)] == pytest.approx([25, 50, 75, 100])
    assert measured["linearity_error"] < EXACT and measured["loss_relative_change"] < EXACT
    assert measured["differentiated_bias"] < EXACT


def test_c06_the_loss_is_one_that_no_bias_can_lower():
    biases, losses = toys.centre_only(differentiated=False)
    assert biases[0] == 0 and losses[0] == pytest.approx(0.5) and losses[-1] == pytest.approx(0.5)


def test_c07_so_does_the_scale():
    measured = numbers("C07")
    scales = [measured[f"scale_at_{step}"] for step in (250, 500, 750, 1000)]
    assert scales == pytest.approx([(1 + 0.2 * step) ** 0.5 for step in (250, 500, 750, 1000)], rel=0.01)
    assert measured["loss_relative_change"] < EXACT and measured["differentiated_scale_change"] < EXACT


def test_c08_whitening_is_singular_and_has_no_gradient_where_eigenvalues_meet():
    measured = whitening.rank() | whitening.differentiability()
    assert measured["rank_less_m_minus_1"] == 0
    assert measured["pca_gradient_growth_gap_1e_3"] > 50
    assert (
        500 < measured["pca_gradient_growth_gap_1e_6"] / measured["pca_gradient_growth_gap_1e_3"] < 2000
    )  # as 1 / gap
    assert measured["zca_gradient_growth_gap_1e_6"] == pytest.approx(measured["zca_gradient_growth_gap_1e_3"], rel=0.01)
    assert measured["pca_nonfinite_share"] > 0 and measured["zca_nonfinite_share"] > 0


def test_c08_times_are_ratios(monkeypatch):
    for name, value in (("WIDTH", 16), ("REPETITIONS", 3), ("PASSES", 2)):
        monkeypatch.setattr(whitening, name, value)
    ((name, ratios),) = whitening.time_ratio().items()
    assert name == "time_ratio_16" and len(ratios) == 3 and min(ratios) > 0


def test_c09_statistics_of_one_example_lose_its_scale():
    measured = numbers("C09")
    assert measured["layer_norm_change"] < EXACT and measured["location_norm_change"] < EXACT
    assert measured["batch_norm_change"] > 0.5


@pytest.mark.parametrize("claim", ["C11", "S7"])
def test_c11_gamma_and_beta_restore_the_identity(claim):
    measured = numbers(claim)
    assert measured["gamma_sqrt_var_plus_eps"] < EXACT and measured["gamma_sqrt_var_eps_0"] < EXACT
    large, small = measured["gamma_sqrt_var_eps_1e_3"], measured["gamma_sqrt_var_eps_1e_5"]
    assert large / small == pytest.approx(100, rel=0.02) and large > 1e-4  # O(eps)
    assert measured["other_batch"] > 0.01


def test_c12_moments_of_normalised_values():
    measured = numbers("C12")
    assert measured["mean"] < EXACT and measured["mean_square_error"] < EXACT
    assert measured["smallest_mean_square"] < 0.01


def test_c14_batch_mates_matter_in_training_only():
    measured = numbers("C14")
    assert measured["inference_inception"] == measured["inference_mlp"] == 0
    assert measured["training_inception"] > 0.01 and measured["training_mlp"] > 0.01


def test_c16_inference_is_deterministic_unbiased_and_foldable():
    measured = numbers("C16")
    assert measured["folding_inception"] < EXACT and measured["folding_inception_float32"] < 1e-4
    assert measured["repetition"] == 0
    assert measured["running_variance_error"] < EXACT and measured["biased_variance_error"] > 1e-3


def test_c17_a_bias_before_the_normaliser_is_useless():
    measured = numbers("C17")
    assert measured["bias_gradient"] < EXACT and measured["output_difference"] < EXACT
    assert measured["beta_gradient"] > 0.1 and measured["unnormalised_output_difference"] > 0.1


@pytest.mark.parametrize("claim", ["C20", "S9"])
def test_c20_maps_are_activations_over_positions(claim):
    measured = numbers(claim)
    exact = ("output_difference", "gradient_difference", "shift_error")
    assert all(measured[name] < EXACT for name in exact)
    assert measured["gammas_per_map"] == measured["betas_per_map"] == 1
    assert measured["per_activation_shift_error"] > 0.1


def test_s9_effective_batch_and_place():
    measured = numbers("S9")
    assert measured["effective_batch_error"] < 1e-6 and measured["units_otherwise"] == 0
    assert convolution.data_flow() == (69, 69)


def test_s9_another_order_is_noticed(monkeypatch):
    forward = convolution.ConvUnit.forward

    def relu_first(unit, x):
        return unit.norm(unit.nonlinearity(unit.conv(x))) if unit.conv.kernel_size == (3, 3) else forward(unit, x)

    monkeypatch.setattr(convolution.ConvUnit, "forward", relu_first)
    units, in_order = convolution.data_flow()
    assert units - in_order == 31  # of 3 x 3


def test_c22_scale_invariance_of_outputs():
    measured = numbers("C22")
    assert max(measured[name] for name in (*scaling.SCALES, "negative_a_flip_error")) < EXACT
    assert measured["negative_a_difference"] > 1
    assert measured["a_0_1_eps_1e_3_relative"] == pytest.approx(0.05, abs=0.02)


def test_c23_scale_invariance_of_jacobians():
    measured = numbers("C23")
    assert max(measured[name] for name in scaling.SCALES) < EXACT
    assert measured["a_0_1_eps_1e_3"] > 0.01


def test_c24_larger_weights_get_smaller_gradients():
    measured = numbers("C24")
    assert max(measured[name] for name in scaling.SCALES) < EXACT
    assert measured["norm_rise_error"] < 1e-6 and measured["norm_rise_error_eps_1e_3"] > 1e-3


def test_c30_two_parameters_a_map_or_activation():
    measured = numbers("C30")
    assert measured["extra"] == 19_904
    assert measured["extra_per_map"] == measured["mlp_extra_per_activation"] == 2 and measured["net_per_map"] == 1
    assert measured["share"] == pytest.approx(0.0018, abs=1e-4)


def test_c44_what_the_appendix_says_of_parameters_and_cost():
    measured = numbers("C44")
    assert measured["inception_parameters_with_head"] == 13_605_672
    assert measured["multiply_add_increase"] == pytest.approx(0.29, abs=0.01)
    assert measured["weight_increase"] == pytest.approx(0.60, abs=0.01)  # and not the printed 25 %
    assert measured["separable_conv1_multiply_adds_ratio"] == pytest.approx(2_712 / 9_408)
    assert measured["separable_conv1_values_ratio"] == pytest.approx((64 + 24) / 64)


def test_s4_equal_moments_are_not_an_equal_distribution():
    measured = numbers("S4")
    assert measured["mean_difference"] < EXACT and measured["variance_difference"] < EXACT
    assert measured["ks_after"] > 0.1 and measured["ks_two_normal"] < 0.03
    assert measured["skewness_difference"] == pytest.approx(2, abs=0.2)  # an exponential's is 2, a normal's 0


def test_s6_small_activations_are_enlarged_until_eps_matters():
    measured = numbers("S6")
    assert measured["eps_1e_3_std_3"] < 0.6 < 0.9 < measured["eps_1e_5_std_3"]
    assert min(measured["eps_1e_5_least_gain"], measured["eps_1e_3_least_gain"]) > 100


def test_s6_large_weights_need_no_enlarging():
    assert statistics.third_layer_std(eps=None, seeds=1, std=1.0).mean() > 1


def test_s10_whitening_removes_correlations_and_bn_does_not():
    measured = whitening.identity_errors()
    assert measured["mean"] < EXACT and measured["covariance_error"] < EXACT
    assert measured["batch_norm_largest_correlation"] > 0.1


def test_the_record_has_numbers_and_of_times_the_repetitions_an_interval_and_the_machine(tmp_path, monkeypatch, capsys):
    ratios = [1.0, 2.0, 4.0]
    programs = {"C01": lambda: {"time": ratios, "rank": 3.0}, "C02": lambda: {"a": 1, "b": 0.5}}
    monkeypatch.setattr(record, "PROGRAMS", programs)
    out = tmp_path / "new" / "identities.json"
    assert identities.main(["--out", str(out)]) == 0
    measured = json.loads(out.read_text())
    assert measured["numbers"]["C01"] == {"rank": 3.0, "time": pytest.approx(2.0)} and set(measured["intervals"]) == {
        "C01"
    }
    assert measured["numbers"]["C02"] == {"a": 1.0, "b": 0.5}
    assert {"command", "measured", "commit", "packages", "processor"} <= measured.keys()
    (timed,) = measured["intervals"]["C01"].values()
    low, high = geometric(np.array(ratios)).low, geometric(np.array(ratios)).high
    assert (timed["n"], timed["low"], timed["high"], timed["values"]) == (3, low, high, ratios) and low < 2 < high
    assert timed["processor"] and timed["threads"] and timed["cores"]


def test_the_programs_need_no_benchmark():
    sources = (ROOT / "src" / "bnrepro" / "identities").glob("*.py")
    assert not [source.name for source in sources if "bnrepro.benchmarks" in source.read_text()]
