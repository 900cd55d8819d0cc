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
    found = numbers(claim)
    assert found and all(type(value) is float and math.isfinite(value) for value in found.values())
    assert all(name.isidentifier() and name == name.lower() for name in found)
    assert PROGRAMS[claim].__doc__


@pytest.mark.parametrize("claim", sorted(PROGRAMS.keys() - TIMED - {"C06", "C07", "S7", "S9"}))
def test_a_program_gives_the_same_bits_again(claim):
    torch.manual_seed(7)
    assert PROGRAMS[claim]() == numbers(claim)


def test_c03_an_upper_network_learns_as_if_alone():
    found = numbers("C03")
    assert found["gradient_difference"] < EXACT
    assert found["parameter_difference"] < EXACT
    assert found["stale_relative_difference"] > 1e-4


def test_c06_the_bias_runs_away_at_constant_loss():
    found = numbers("C06")
    assert [found[f"bias_at_{step}"] for step in (250, 500, 750, 1000)] == pytest.approx([25, 50, 75, 100])
    assert found["linearity_error"] < EXACT and found["loss_relative_change"] < EXACT
    assert found["differentiated_bias"] < EXACT


def test_c06_the_loss_is_one_that_no_bias_can_lower():
    biases, losses = toys.centre_only(differentiated=False)
    assert biases[0] == 0 and losses[0] == pytest.approx(0.5) and losses[-1] == pytest.approx(0.5)


def test_c07_so_does_the_scale():
    found = numbers("C07")
    scales = [found[f"scale_at_{step}"] for step in (250, 500, 750, 1000)]
    assert scales == pytest.approx([(1 + 0.2 * step) ** 0.5 for step in (250, 500, 750, 1000)], rel=0.01)
    assert found["loss_relative_change"] < EXACT and found["differentiated_scale_change"] < EXACT


def test_c08_whitening_is_singular_and_has_no_gradient_where_eigenvalues_meet():
    found = whitening.rank() | whitening.differentiability()
    assert found["rank_less_m_minus_1"] == 0
    assert found["pca_gradient_growth_gap_1e_3"] > 50
    assert 500 < found["pca_gradient_growth_gap_1e_6"] / found["pca_gradient_growth_gap_1e_3"] < 2000  # as 1 / gap
    assert found["zca_gradient_growth_gap_1e_6"] == pytest.approx(found["zca_gradient_growth_gap_1e_3"], rel=0.01)
    assert found["pca_nonfinite_share"] > 0 and found["zca_nonfinite_share"] > 0


def test_c08_times_are_ratios(monkeypatch):
    for name, value in (("WIDTH", 16), ("REPETITIONS", 3), ("PASSES", 2)):
        monkeypatch.setattr(whitening, name, value)
    ((name, ratios),) = whitening.time_ratio().items()
    assert name == "time_ratio_16" and len(ratios) == 3 and min(ratios) > 0


def test_c09_statistics_of_one_example_lose_its_scale():
    found = numbers("C09")
    assert found["layer_norm_change"] < EXACT and found["location_norm_change"] < EXACT
    assert found["batch_norm_change"] > 0.5


@pytest.mark.parametrize("claim", ["C11", "S7"])
def test_c11_gamma_and_beta_restore_the_identity(claim):
    found = numbers(claim)
    assert found["gamma_sqrt_var_plus_eps"] < EXACT and found["gamma_sqrt_var_eps_0"] < EXACT
    large, small = found["gamma_sqrt_var_eps_1e_3"], found["gamma_sqrt_var_eps_1e_5"]
    assert large / small == pytest.approx(100, rel=0.02) and large > 1e-4  # O(eps)
    assert found["other_batch"] > 0.01


def test_c12_moments_of_normalised_values():
    found = numbers("C12")
    assert found["mean"] < EXACT and found["mean_square_error"] < EXACT
    assert found["smallest_mean_square"] < 0.01


def test_c14_batch_mates_matter_in_training_only():
    found = numbers("C14")
    assert found["inference_inception"] == found["inference_mlp"] == 0
    assert found["training_inception"] > 0.01 and found["training_mlp"] > 0.01


def test_c16_inference_is_deterministic_unbiased_and_foldable():
    found = numbers("C16")
    assert found["folding_inception"] < EXACT and found["folding_inception_float32"] < 1e-4
    assert found["repetition"] == 0
    assert found["running_variance_error"] < EXACT and found["biased_variance_error"] > 1e-3


def test_c17_a_bias_before_the_normaliser_is_useless():
    found = numbers("C17")
    assert found["bias_gradient"] < EXACT and found["output_difference"] < EXACT
    assert found["beta_gradient"] > 0.1 and found["unnormalised_output_difference"] > 0.1


@pytest.mark.parametrize("claim", ["C20", "S9"])
def test_c20_maps_are_activations_over_positions(claim):
    found = numbers(claim)
    exact = ("output_difference", "gradient_difference", "shift_error")
    assert all(found[name] < EXACT for name in exact)
    assert found["gammas_per_map"] == found["betas_per_map"] == 1
    assert found["per_activation_shift_error"] > 0.1


def test_s9_effective_batch_and_place():
    found = numbers("S9")
    assert found["effective_batch_error"] < 1e-6 and found["units_otherwise"] == 0
    assert convolution.data_flow() == (69, 69)


def test_s9_another_order_is_noticed(monkeypatch):
    forward = convolution.ConvUnit.forward

    def relu_first(unit, x):
        return unit.norm(unit.nonlinearity(unit.conv(x))) if unit.conv.kernel_size == (3, 3) else forward(unit, x)

    monkeypatch.setattr(convolution.ConvUnit, "forward", relu_first)
    units, in_order = convolution.data_flow()
    assert units - in_order == 31  # of 3 x 3


def test_c22_scale_invariance_of_outputs():
    found = numbers("C22")
    assert max(found[name] for name in (*scaling.SCALES, "negative_a_flip_error")) < EXACT
    assert found["negative_a_difference"] > 1
    assert found["a_0_1_eps_1e_3_relative"] == pytest.approx(0.05, abs=0.02)


def test_c23_scale_invariance_of_jacobians():
    found = numbers("C23")
    assert max(found[name] for name in scaling.SCALES) < EXACT
    assert found["a_0_1_eps_1e_3"] > 0.01


def test_c24_larger_weights_get_smaller_gradients():
    found = numbers("C24")
    assert max(found[name] for name in scaling.SCALES) < EXACT
    assert found["norm_rise_error"] < 1e-6 and found["norm_rise_error_eps_1e_3"] > 1e-3


def test_c30_two_parameters_a_map_or_activation():
    found = numbers("C30")
    assert found["extra"] == 19_904
    assert found["extra_per_map"] == found["mlp_extra_per_activation"] == 2 and found["net_per_map"] == 1
    assert found["share"] == pytest.approx(0.0018, abs=1e-4)


def test_c44_what_the_appendix_says_of_parameters_and_cost():
    found = numbers("C44")
    assert found["inception_parameters_with_head"] == 13_605_672
    assert found["multiply_add_increase"] == pytest.approx(0.29, abs=0.01)
    assert found["weight_increase"] == pytest.approx(0.60, abs=0.01)  # and not the printed 25 %
    assert found["separable_conv1_multiply_adds_ratio"] == pytest.approx(2_712 / 9_408)
    assert found["separable_conv1_values_ratio"] == pytest.approx((64 + 24) / 64)


def test_s4_equal_moments_are_not_an_equal_distribution():
    found = numbers("S4")
    assert found["mean_difference"] < EXACT and found["variance_difference"] < EXACT
    assert found["ks_after"] > 0.1 and found["ks_two_normal"] < 0.03
    assert found["skewness_difference"] == pytest.approx(2, abs=0.2)  # an exponential's is 2, a normal's 0


def test_s6_small_activations_are_enlarged_until_eps_matters():
    found = numbers("S6")
    assert found["eps_1e_3_std_3"] < 0.6 < 0.9 < found["eps_1e_5_std_3"]
    assert min(found["eps_1e_5_least_gain"], found["eps_1e_3_least_gain"]) > 100


def test_s6_large_weights_need_no_enlarging():
    assert statistics.third_layer_std(eps=None, seeds=1, std=1.0).mean() > 1


def test_s10_whitening_removes_correlations_and_bn_does_not():
    found = whitening.identity_errors()
    assert found["mean"] < EXACT and found["covariance_error"] < EXACT
    assert found["batch_norm_largest_correlation"] > 0.1


def test_the_record_has_numbers_and_of_times_the_repetitions_an_interval_and_the_machine(tmp_path, monkeypatch, capsys):
    ratios = [1.0, 2.0, 4.0]
    programs = {"C01": lambda: {"time": ratios, "rank": 3.0}, "C02": lambda: {"a": math.inf, "b": math.nan}}
    monkeypatch.setattr(record, "PROGRAMS", programs)
    out = tmp_path / "new" / "identities.json"
    assert identities.main(["--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["numbers"]["C01"] == {"rank": 3.0, "time": pytest.approx(2.0)} and set(found["intervals"]) == {"C01"}
    assert found["numbers"]["C02"] == {"a": "inf", "b": "nan"}
    assert {"command", "measured", "commit", "packages", "processor"} <= found.keys()
    (timed,) = found["intervals"]["C01"].values()
    low, high = geometric(np.array(ratios)).low, geometric(np.array(ratios)).high
    assert (timed["n"], timed["low"], timed["high"], timed["values"]) == (3, low, high, ratios) and low < 2 < high
    assert timed["processor"] and timed["threads"] and timed["cores"]


def test_the_programs_need_no_benchmark():
    sources = (ROOT / "src" / "bnrepro" / "identities").glob("*.py")
    assert not [source.name for source in sources if "bnrepro.benchmarks" in source.read_text()]
