"""The networks against the printed tables: shapes, counts, costs, branch by branch."""

import importlib

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bnrepro.benchmarks import mnist
from bnrepro.errors import UserError
from bnrepro.layers.lrn import LocalResponseNorm
from bnrepro.models.convolution import ConvUnit
from bnrepro.models.inception import FIGURE_5
from bnrepro.training import build
from bnrepro.training.validation import typed
from conftest import ROOT, compose_config, config_of

importlib.import_module("bnrepro.models.registered")  # makes timm importable, and the names below known to it
timm = importlib.import_module("timm")
META = torch.device("meta")


def create(name: str, **options) -> nn.Module:
    """A network without memory; LRN, which has no parameters, is left out."""
    with META:
        return timm.create_model(name, **{"lrn": False} | options)


def parameters(module: nn.Module, norms: bool = True) -> int:
    return sum(p.numel() for name, p in module.named_parameters() if norms or ".norm." not in f".{name}")


def shapes_of(model: nn.Module, pixels: int) -> dict[str, tuple[int, ...]]:
    """The shape of every module's output for one image, by name, without the axis of images."""
    shapes: dict[str, tuple[int, ...]] = {}

    def note(module: nn.Module, _: tuple, output: torch.Tensor) -> None:
        shapes[names[module]] = tuple(output.shape[1:])

    names = {module: name for name, module in model.named_modules()}
    hooks = [module.register_forward_hook(note) for module in names]
    model.eval()(torch.empty(1, 3, pixels, pixels, device=META))
    for hook in hooks:
        hook.remove()
    return shapes


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 11_188_288),
        ({"separable": False}, 11_194_984),
        ({"projection_4cd": 128}, 11_278_528),
        ({"projection_4cd": 128, "separable": False}, 11_285_224),
    ],
)
def test_parameters_of_bn_inception(options, total):
    assert parameters(create("bn_inception", **options)) == total


def test_parameters_by_kind():
    """Conv weights, two for each normalised map (0.18 % of all: claim C30), and the linear layer."""
    model = create("bn_inception")
    convolutions = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    maps = sum(m.num_features for m in model.modules() if hasattr(m, "num_batches_tracked"))
    assert (convolutions, maps, parameters(model.classifier)) == (10_143_384, 9_952, 1_025_000)
    assert parameters(model) == convolutions + 2 * maps + 1_025_000
    without = create("inception")
    assert parameters(without) == convolutions + maps + 1_025_000  # a bias a map instead of gamma and beta


def test_the_papers_13_6_million_are_the_table_and_one_auxiliary_head():
    model = create("bn_inception", aux=True)
    assert list(model.heads) == ["4d"]
    assert round(parameters(model.heads["4d"]) / 1e6, 3) == 2.417 and parameters(model) == 13_605_672


MODULES = {
    "3a": (218_112, 218_112),
    "3b": (259_072, 259_072),
    "3c": (384_000, 384_000),
    "4a": (608_256, 608_256),
    "4b": (663_552, 663_552),
    "4c": (893_952, 912_384),
    "4d": (1_105_920, 1_140_736),
    "4e": (1_437_696, 1_447_936),
    "5a": (2_179_072, 2_205_696),
    "5b": (2_276_352, 2_276_352),
}


@pytest.mark.parametrize(("projection", "column"), [(96, 0), (128, 1)])
def test_weights_of_every_module(projection, column):
    model = create("bn_inception", projection_4cd=projection)
    assert {name: parameters(row, norms=False) for name, row in model.rows.items()} == {
        name: counts[column] for name, counts in MODULES.items()
    }
    assert parameters(model.stem.conv1, norms=False) == 2_712
    assert parameters(create("bn_inception", separable=False).stem.conv1, norms=False) == 9_408
    assert parameters(model.stem.conv2_reduce, False) + parameters(model.stem.conv2, False) == 114_688


def test_the_counter_agrees_with_tf_slims_own_test():
    """10,173,112: beta but no gamma, moving mean and variance counted, conv1 with 64 biases and no normaliser."""
    model = create("bn_inception")
    convolutions = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    maps = sum(m.num_features for m in model.modules() if hasattr(m, "num_batches_tracked"))
    assert convolutions + 3 * (maps - 64) + 64 == 10_173_112


def test_every_printed_output_of_figure_5():
    """3c and 4e print the size before their stride."""
    shapes = shapes_of(create("bn_inception"), 224)
    assert shapes["stem.conv1"] == (64, 112, 112) and shapes["stem.conv2"] == (192, 56, 56)
    assert shapes["stem"] == (192, 28, 28)
    expected = {"3a": (256, 28), "3b": (320, 28), "3c": (576, 14), "4e": (1024, 7), "5a": (1024, 7), "5b": (1024, 7)}
    expected |= dict.fromkeys(("4a", "4b", "4c", "4d"), (576, 14))
    for name, (channels, size) in expected.items():
        assert shapes[f"rows.{name}"] == (channels, size, size), name
    literal = shapes_of(create("bn_inception", projection_4cd=128), 224)
    assert [literal[f"rows.{name}"][0] for name in ("4c", "4d", "4e")] == [608, 608, 1056]


@pytest.mark.parametrize(
    ("name", "options", "giga"),
    [
        ("bn_inception", {}, 1.935),
        ("bn_inception", {"separable": False}, 2.019),
        ("bn_inception", {"projection_4cd": 128}, 1.949),
        ("bn_inception", {"projection_4cd": 128, "separable": False}, 2.033),
        ("googlenet", {}, 1.498),
    ],
)
def test_multiply_adds(name, options, giga):
    with FlopCounterMode(display=False) as counter:
        create(name, **options).eval()(torch.empty(1, 3, 224, 224, device=META))
    assert counter.get_total_flops() / 2e9 == pytest.approx(giga, abs=1e-3)


def test_what_a_training_step_of_figure_1_computes():
    model = build.network(config_of("experiment=figure1/bn"), [0], torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, mnist.BATCH, 784)).sum().backward()
    assert counter.get_total_flops() == mnist.FLOPS_PER_STEP


def test_parameters_of_googlenet():
    """6.98 M weights (6.99 M with the full first convolution), and 13.378 M with biases and two heads."""

    def weights(model):
        return sum(p.numel() for name, p in model.named_parameters() if name.endswith("weight"))

    assert round(weights(create("googlenet")) / 1e6, 2) == 6.98
    assert round(weights(create("googlenet", separable=False)) / 1e6, 2) == 6.99
    assert round(parameters(create("googlenet", separable=False, aux=True)) / 1e6, 3) == 13.378
    assert list(create("googlenet", aux=True).heads) == ["4a", "4d"]


def test_every_printed_output_of_googlenets_table_1():
    shapes = shapes_of(create("googlenet"), 224)
    assert shapes["stem.conv1"] == (64, 112, 112) and shapes["stem.conv2"] == (192, 56, 56)
    expected = {"3a": (256, 28), "3b": (480, 28), "4a": (512, 14), "4b": (512, 14), "4c": (512, 14), "4d": (528, 14)}
    expected |= {"4e": (832, 14), "5a": (832, 7), "5b": (1024, 7)}
    for name, (channels, size) in expected.items():
        assert shapes[f"rows.{name}"] == (channels, size, size), name


def test_the_misprint_of_googlenets_5a_is_an_option():
    """The printed 32 costs 51.1M multiply-adds, 48 the printed 54M."""
    costs = []
    for channels in (32, 48):
        model = create("googlenet", reduce_5a=channels).rows["5a"]
        costs.append(round(49 * parameters_of_convolutions(model) / 1e6, 1))
    assert costs == [51.1, 54.2]


def parameters_of_convolutions(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def test_pools_are_the_printed_ones():
    kinds = {row.name: row.pool for row in FIGURE_5}
    assert kinds == dict.fromkeys(("3a", "3b", "4a", "4b", "4c", "4d", "5a"), "avg") | {
        "3c": "pass",
        "4e": "pass",
        "5b": "max",
    }


@pytest.mark.parametrize("name", ["inception", "bn_inception", "googlenet", "bn_googlenet"])
@pytest.mark.parametrize(("pixels", "sizes"), [(32, [8, 4, 2]), (64, [16, 8, 4])])
def test_small_images_keep_the_table(name, pixels, sizes):
    model = create(name, width=0.25, stem_reduction=4, pixels=pixels, num_classes=50, aux=True)
    shapes = shapes_of(model, pixels)
    found = [shapes[f"rows.{row}"] for row in ("3b", "4d", "5b")]
    assert [shape[1] for shape in found] == sizes and found[2][0] == 256
    logits, auxiliary = model.train()(torch.empty(2, 3, pixels, pixels, device=META))
    assert logits.shape == (2, 50) and all(a.shape == (2, 50) for a in auxiliary)
    assert len(auxiliary) == (2 if "googlenet" in name else 1)


def test_units_are_convolution_normaliser_nonlinearity():
    for name, kinds in (("bn_inception", ["conv", "norm", "nonlinearity"]), ("inception", ["conv", "nonlinearity"])):
        units = [unit for unit in create(name, nonlinearity="sigmoid").modules() if isinstance(unit, ConvUnit)]
        assert len(units) == 69
        for unit in units:
            assert [n for n, _ in unit.named_children() if n != "depthwise"] == kinds
            assert isinstance(unit.nonlinearity, nn.Sigmoid)
            assert (unit.conv.bias is None) == ("norm" in kinds)  # Sec. 3.2: beta does what a bias would


def test_per_activation_normalisers_know_their_map():
    model = timm.create_model("bn_inception", norm="per_activation", width=0.25, stem_reduction=4, pixels=32)
    assert model.rows["5b"].one.norm.num_features == 88 * 2 * 2
    assert model(torch.randn(4, 3, 32, 32)).shape == (4, 1000)


def test_lrn_is_torchs():
    x = 30 * torch.randn(2, 16, 5, 5, dtype=torch.float64, requires_grad=True)
    ours, theirs = LocalResponseNorm(16)(x), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)(x)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)
    grads = [torch.autograd.grad(y.square().sum(), x, retain_graph=True)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*grads, rtol=1e-6, atol=1e-8)


def test_beta_starts_where_the_configuration_says():
    def betas(*overrides: str) -> set[float]:
        model = build.network(config_of(*overrides, "scale=smoke"), [0, 1], torch.device("cpu"))
        names = [name for name, module in model.named_modules() if hasattr(module, "running_mean")]
        return {value for name in names for value in model.get_submodule(name).bias.tolist()}

    assert betas("experiment=figure2/bn_x5") == {0.0} and betas("experiment=figure2/bn_x5", "init.beta=1") == {1.0}
    assert betas("experiment=figure1/bn", "init.beta=0.5") == {0.5}
    with pytest.raises(UserError, match="has no beta"):
        betas("experiment=figure2/inception", "init.beta=1")


def test_a_leaky_unit_keeps_half_of_what_is_negative():
    model = build.network(
        config_of("experiment=figure2/bn_x5", "scale=smoke", "model.nonlinearity=leaky_relu"), [0], torch.device("cpu")
    )
    unit = model.stem.conv2.nonlinearity
    torch.testing.assert_close(unit(torch.tensor([-2.0, 3.0])), torch.tensor([-1.0, 3.0]))
    with pytest.raises(UserError, match="leaky_relu"):
        config_of("experiment=figure1/bn", "model.nonlinearity=leaky_relu")


def test_timms_own_scripts_take_the_networks(door, tmp_path):
    """The door registers the networks, then runs the tool with the rest of the command line."""
    tool = tmp_path / "tool.py"
    tool.write_text("import sys, timm\nprint(type(timm.create_model(sys.argv[1])).__name__, sys.argv[1:], __name__)\n")
    done = door("with_timm.py", str(tool), "bn_inception", "--epochs", "3")
    assert done.stdout == "Inception ['bn_inception', '--epochs', '3'] __main__\n", done.stderr
    done = door("with_timm.py", str(tmp_path / "none.py"))
    assert done.returncode == 2 and "none.py" in done.stderr and len(done.stderr.splitlines()) == 1


def test_variants_build_what_they_say():
    def built(experiment):
        config = typed(compose_config(f"experiment={experiment}", "scale=laptop"))
        return build.network(config, [0], torch.device("cpu"), 50)

    plain, baseline, x5 = (built(f"figure2/{name}") for name in ("inception", "bn_baseline", "bn_x5"))
    assert plain.drop_rate == baseline.drop_rate == 0.4 and x5.drop_rate == 0
    lrns = [sum(isinstance(m, LocalResponseNorm) for m in model.modules()) for model in (plain, baseline, x5)]
    assert lrns == [2, 2, 0]
    strengths = [float(m.band.max()) for m in plain.modules() if isinstance(m, LocalResponseNorm)]
    assert strengths == pytest.approx([0.5 / 5] * 2)  # the scale's alpha over the neighbours
    units = [sum(hasattr(m, "num_batches_tracked") for m in model.modules()) for model in (plain, baseline, x5)]
    assert units == [0, 69, 69]
    assert (ROOT / "configs" / "experiment" / "googlenet" / "bn.yaml").exists()
    assert len(built("googlenet/bn").heads) == 2
