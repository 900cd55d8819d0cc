"""The registered networks as users of timm take networks for granted, at a quarter of the width."""

import importlib
import math

import pytest
import torch
from torch import nn

from bnrepro.models import registered

timm = registered.timm
create_optimizer_v2 = importlib.import_module("timm.optim").create_optimizer_v2
NAMES = ["inception", "bn_inception", "googlenet", "bn_googlenet"]
SMALL = {"width": 0.25, "stem_reduction": 4, "pixels": 64, "num_classes": 5}
META = torch.device("meta")
every_network = pytest.mark.parametrize("name", NAMES)


def create(name: str, seed: int = 0, **options) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model(name, **SMALL | options)


def images(pixels: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, pixels, pixels, generator=torch.Generator().manual_seed(1))


@every_network
@pytest.mark.parametrize("feature_cls", [None, "fx", "getter"])
def test_features_only(name, feature_cls):
    options = {"feature_cls": feature_cls} if feature_cls else {}
    extractor = create(name, features_only=True, **options).eval()
    assert extractor.feature_info.reduction() == [2, 4, 4, 8, 16]
    maps = extractor(images())
    assert [m.shape[1] for m in maps] == extractor.feature_info.channels()
    assert [m.shape[2] for m in maps] == [64 // r for r in extractor.feature_info.reduction()]
    expected = create(name).eval().forward_intermediates(images(), intermediates_only=True)
    torch.testing.assert_close(maps, expected)
    some = create(name, features_only=True, out_indices=(1, -2), **options).eval()
    torch.testing.assert_close(some(images()), [expected[1], expected[3]])


def test_reductions_at_224_pixels_are_powers_of_two():
    with META:
        models = [timm.create_model(name, features_only=True) for name in ("bn_inception", "googlenet")]
    assert [model.feature_info.reduction() for model in models] == [[2, 4, 8, 16, 32]] * 2
    assert models[0].feature_info.module_name()[2:] == ["rows.3b", "rows.4d", "rows.5b"]
    assert models[1].feature_info.module_name()[2:] == ["rows.3b", "rows.4e", "rows.5b"]


@every_network
def test_intermediate_maps(name):
    model = create(name).eval()
    last, maps = model.forward_intermediates(images())
    assert torch.equal(last, model.forward_features(images())) and torch.equal(maps[-1], last)
    for indices, positions in ((2, [3, 4]), ([0, -1], [0, 4]), ([1], [1])):
        chosen = model.forward_intermediates(images(), indices, intermediates_only=True)
        torch.testing.assert_close(chosen, [maps[i] for i in positions])
    calls = []
    model.rows["5b"].register_forward_hook(lambda *_: calls.append("5b"))
    stopped, (first,) = model.forward_intermediates(images(), [2], stop_early=True)
    assert not calls and torch.equal(first, maps[2]) and torch.equal(stopped, first)


@every_network
def test_pools_and_classifiers(name):
    model = create(name, aux=True).eval()
    features = model.forward_features(images())
    average = features.mean((2, 3))
    for pool, pooled in {"avg": average, "fast": average, "max": features.amax((2, 3)), "": features}.items():
        bare = create(name, num_classes=0, global_pool=pool).eval()
        assert bare.forward_head(features).shape == pooled.shape
        model.reset_classifier(0, pool)
        torch.testing.assert_close(model(images()), pooled)
        torch.testing.assert_close(model.forward_head(features, pre_logits=True), pooled)
    model.reset_classifier(7, "max")
    model.reset_classifier(3)
    assert model.global_pool == "max" and model.get_classifier().out_features == 3
    logits, auxiliary = model.train()(images())
    assert {tuple(y.shape) for y in (logits, *auxiliary)} == {(2, 3)}


def test_bad_pools_are_refused():
    with META, pytest.raises(ValueError, match=r"global_pool='fest' is not one of"):
        create("bn_inception", global_pool="fest")
    with META, pytest.raises(ValueError, match=r"it needs num_classes=0"):
        create("bn_inception", global_pool="")
    with pytest.raises(TypeError):
        create("bn_inception", no_such_option=1)


def test_a_new_classifier_is_where_and_as_precise_as_the_network():
    model = create("bn_inception", aux=True).eval().to(META, torch.float64)
    model.reset_classifier(2)
    for layer in (model.classifier, model.heads["4d"].classifier):
        assert layer.weight.device == META and layer.weight.dtype == torch.float64 and not layer.training
    model = create("inception", device="meta", dtype=torch.float16)
    assert {(p.device, p.dtype) for p in model.parameters()} == {(META, torch.float16)}
    assert {buffer.device for buffer in model.buffers()} == {META}


@every_network
def test_checkpointing_changes_neither_gradients_nor_statistics(name):
    results = []
    for enable in (False, True):
        model = create(name, drop_rate=0.5, aux=True).train()
        model.set_grad_checkpointing(enable)
        passes = []
        model.rows["4b"].register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        torch.manual_seed(2)
        logits, auxiliary = model(images())
        (logits.square().sum() + sum(a.square().sum() for a in auxiliary)).backward()
        assert len(passes) == 1 + enable
        results.append([logits, *(p.grad for p in model.parameters()), *model.buffers()])
    for kept, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(recomputed, kept)


def test_checkpointing_allows_two_backward_passes():
    model = create("bn_inception").train()
    model.set_grad_checkpointing()
    loss = model(images()).square().sum()
    loss.backward(retain_graph=True)
    gradients, buffers = (
        [t.clone() for t in tensors] for tensors in ((p.grad for p in model.parameters()), model.buffers())
    )
    loss.backward()
    assert all(torch.equal(p.grad, 2 * gradient) for p, gradient in zip(model.parameters(), gradients, strict=True))
    assert all(torch.equal(after, before) for after, before in zip(model.buffers(), buffers, strict=True))


def test_checkpointing_draws_the_same_noise():
    gradients = []
    for enable in (False, True):
        model = create("bn_inception", norm="noisy_bn").train()
        model.set_grad_checkpointing(enable)
        torch.manual_seed(2)
        model(images()).square().sum().backward()
        gradients.append(model.stem.conv2.conv.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("name", "count"), [("bn_inception", 69), ("bn_googlenet", 57)])
def test_every_batch_normaliser_can_be_frozen_and_thawed(name, count):
    model = create(name)
    model.train()(images())
    expected = model.eval()(images())
    timm.utils.model.freeze(model)
    frozen = [m for m in model.modules() if type(m).__name__ == "FrozenBatchNorm2d"]
    assert len(frozen) == count and not any(p.requires_grad for p in model.parameters())
    torch.testing.assert_close(model.train()(images()), expected, rtol=1e-2, atol=1e-3)
    timm.utils.model.unfreeze(model)
    assert sum(type(m) is nn.BatchNorm2d for m in model.modules()) == count
    torch.testing.assert_close(model.eval()(images()), expected, rtol=1e-2, atol=1e-3)


@every_network
@pytest.mark.parametrize("separable", [True, False])
def test_the_names_of_the_first_convolution_and_the_classifier_are_true(name, separable):
    with META:
        model = create(name, separable=separable, aux=True)
    classifiers = model.default_cfg["classifier"]
    for layer in (model.default_cfg["first_conv"], *classifiers):
        assert f"{layer}.weight" in model.state_dict(), layer
    assert len(classifiers) == 1 + len(model.heads)
    assert model.get_submodule(model.default_cfg["first_conv"]).in_channels == model.in_chans == 3


def kernels(model: nn.Module) -> torch.Tensor:
    """The first convolution as a full one: (out, image channels, 7, 7)."""
    first = model.stem.conv1
    if not hasattr(first, "depthwise"):
        return first.conv.weight
    filters = first.depthwise.weight.unflatten(0, (model.in_chans, -1))[:, :, 0]
    return torch.einsum("ocm,cmhw->ochw", first.conv.weight[:, :, 0, 0].unflatten(1, (model.in_chans, -1)), filters)


@pytest.mark.parametrize("separable", [True, False])
def test_pretrained_folders_suit_other_images(separable, tmp_path, caplog):
    """Several channels take the first three in turn; a single one is their sum, as near as eight filters come."""
    options = {"width": 0.25, "stem_reduction": 4, "pixels": 32, "separable": separable, "aux": True}
    stored = timm.create_model("bn_inception", num_classes=7, **options)
    classes = {f"n{k}": f"class {k}" for k in range(7)}
    registered.save("bn_inception", options, stored.state_dict(), tmp_path, 32, classes, run="a run")
    full = kernels(stored)
    for channels in (1, 2, 4):
        model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=channels)
        if channels > 1:
            expected = torch.stack([full[:, k % 3] for k in range(channels)], 1) * 3 / channels
            torch.testing.assert_close(kernels(model), expected)
        else:
            expected = full.sum(1).flatten(1)
            error = (kernels(model)[:, 0].flatten(1) - expected).square().sum()
            best = torch.linalg.svdvals(expected)[8:].square().sum() if separable else torch.zeros(())
            torch.testing.assert_close(error, best, rtol=1e-3, atol=1e-9)
        assert torch.equal(model.classifier.weight, stored.classifier.weight)
    assert not [record for record in caplog.records if "conv1" in record.message and record.levelname == "WARNING"]
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3)
    assert model.heads["4d"].classifier.out_features == 3 and torch.equal(kernels(model), full)


@every_network
def test_layers_have_depths_and_an_optimiser_of_timm_groups_them(name):
    model = create(name, aux=True)
    depth = model.group_matcher()
    depths = [depth(parameter) for parameter, _ in model.named_parameters() if not parameter.startswith("heads")]
    assert depths == sorted(depths) and len(set(depths)) == len(model.rows) + 2 and depths[-1] == math.inf
    assert {model.group_matcher(coarse=True)(f"rows.{row}.one.conv.weight") for row in ("4a", "4d")} == {4}
    groups = create_optimizer_v2(model, "sgd", lr=0.1, weight_decay=1e-4, layer_decay=0.9).param_groups
    scales = {group["lr_scale"] for group in groups}
    assert min(scales) < 0.4 and max(scales) == 1
    assert {p.ndim for group in groups if not group["weight_decay"] for p in group["params"]} == {1}


@every_network
def test_what_timms_own_tools_ask_of_a_network(name):
    """Its benchmark builds a network so, and times it in both modes; its training script has the pool's name too."""
    model = timm.create_model(name, num_classes=None, in_chans=3, global_pool="fast", scriptable=False, drop_rate=0.0)
    assert model.num_classes == 1000 and model.drop_rate == 0
    assert name in timm.list_models() and model.default_cfg["crop_pct"] == 0.875
    assert timm.data.resolve_data_config({}, model=model)["input_size"] == (3, 224, 224)
    assert timm.utils.reparameterize_model(model.eval())(images(32)).shape == (2, 1000)
    optimizer = create_optimizer_v2(model, opt="sgd", lr=1e-4)
    nn.functional.cross_entropy(model.train()(images(32)), torch.tensor([1, 2])).backward()
    optimizer.step()
    assert all(p.grad is not None and p.isfinite().all() for p in model.parameters())


TRACERS = {
    "fx": torch.fx.symbolic_trace,
    "script": torch.jit.script,
    "export": lambda model: torch.export.export(model, (images(32),)).module(),
}


@pytest.mark.parametrize(
    ("tracer", "name"),
    [(tracer, name) for tracer in ("fx", "script") for name in NAMES] + [("export", "inception")],  # 15 s each
)
def test_pytorchs_compilers_of_graphs_take_the_networks(tracer, name):
    model = create(name, lrn=True).eval()
    torch.testing.assert_close(TRACERS[tracer](model)(images(32)), model(images(32)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tracer", ["fx", "script"])
def test_graphs_know_training_from_evaluation(tracer):
    model = create("bn_googlenet", drop_rate=0.5).train()
    graph = TRACERS[tracer](model)
    for mode in (True, False):
        outputs = []
        for network in (model.train(mode), graph.train(mode)):
            torch.manual_seed(3)
            outputs.append(network(images(32)))
        torch.testing.assert_close(*outputs, rtol=1e-2, atol=1e-3)
    assert model.stem.conv1.norm.num_batches_tracked == 2  # the graph's layers are the network's


def test_scripts_have_auxiliary_heads():
    model = create("bn_googlenet", aux=True).train()
    logits, auxiliary = torch.jit.script(model)(images())
    assert logits.shape == (2, 5) and [a.shape for a in auxiliary] == [(2, 5)] * 2
