"""Weights of the known port of Caffe's BN-Inception give its outputs here; Caffe's padding of pools."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bnrepro.models import ports, registered
from bnrepro.models.convolution import AveragePool, MaxPool

# Row by row: 1x1, 3x3 reduce, 3x3, double reduce, double, pool projection (0: none), input channels.
PORT = {
    "3a": (64, 64, 64, 64, 96, 32, 192),
    "3b": (64, 64, 96, 64, 96, 64, 256),
    "3c": (0, 128, 160, 64, 96, 0, 320),
    "4a": (224, 64, 96, 96, 128, 128, 576),
    "4b": (192, 96, 128, 96, 128, 128, 576),
    "4c": (160, 128, 160, 128, 160, 128, 576),
    "4d": (96, 128, 192, 160, 192, 128, 608),
    "4e": (0, 128, 192, 192, 256, 0, 608),
    "5a": (352, 192, 320, 160, 224, 128, 1056),
    "5b": (352, 192, 320, 192, 224, 128, 1024),
}


def layers() -> dict[str, tuple[int, int, int]]:
    """Channels in and out and the kernel of every convolution of the port, by its name."""
    shapes = {"conv1_7x7_s2": (3, 64, 7), "conv2_3x3_reduce": (64, 64, 1), "conv2_3x3": (64, 192, 3)}
    for row, (one, reduce, three, double_reduce, double, projection, into) in PORT.items():
        of_row = {
            "1x1": (into, one, 1),
            "3x3_reduce": (into, reduce, 1),
            "3x3": (reduce, three, 3),
            "double_3x3_reduce": (into, double_reduce, 1),
            "double_3x3_1": (double_reduce, double, 3),
            "double_3x3_2": (double, double, 3),
            "pool_proj": (into, projection, 1),
        }
        shapes |= {f"inception_{row}_{name}": shape for name, shape in of_row.items() if shape[1]}
    return shapes


def random_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    state = {"last_linear.weight": normal(10, 1024), "last_linear.bias": normal(10)}
    for name, (into, out, kernel) in layers().items():
        state[f"{name}.weight"] = normal(out, into, kernel, kernel) * (2 / into / kernel**2) ** 0.5
        state[f"{name}.bias"] = normal(out)
        state |= {f"{name}_bn.{kind}": normal(out) for kind in ("bias", "running_mean")}
        state |= {f"{name}_bn.{kind}": 0.5 + normal(out).square() for kind in ("weight", "running_var")}
        state[f"{name}_bn.num_batches_tracked"] = torch.tensor(0)
    return state


def port(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """What the port computes in evaluation mode of BGR pixels of 0 to 255 less their mean."""

    def unit(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        x = F.conv2d(x, weight, state[f"{name}.bias"], stride, weight.shape[2] // 2)
        mean, variance, gamma, beta = (
            state[f"{name}_bn.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, eps=1e-5).relu()

    def halve(x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2, ceil_mode=True)

    x = halve(unit("conv1_7x7_s2", x, 2))
    x = halve(unit("conv2_3x3", unit("conv2_3x3_reduce", x)))
    for row, (one, *_, projection, _) in PORT.items():
        prefix, stride = f"inception_{row}_", 1 if one else 2
        branches = [unit(f"{prefix}1x1", x)] if one else []
        branches.append(unit(f"{prefix}3x3", unit(f"{prefix}3x3_reduce", x), stride))
        double = unit(f"{prefix}double_3x3_1", unit(f"{prefix}double_3x3_reduce", x))
        branches.append(unit(f"{prefix}double_3x3_2", double, stride))
        if not projection:
            branches.append(halve(x))
        elif row == "5b":
            branches.append(unit(f"{prefix}pool_proj", F.max_pool2d(x, 3, 1, 1)))
        else:
            branches.append(unit(f"{prefix}pool_proj", F.avg_pool2d(x, 3, 1, 1, ceil_mode=True)))
        x = torch.cat(branches, 1)
    return F.linear(x.mean((2, 3)), state["last_linear.weight"], state["last_linear.bias"])


def test_the_ports_weights_give_its_outputs():
    """Of RGB pixels as timm normalises them. It fails with our own padding."""
    state, options = random_state(), dict(ports.BNINCEPTION)
    rgb = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = port(state, 255 * rgb.flip(1) - torch.tensor([104, 117, 128]).view(3, 1, 1))
    mean, std = (
        torch.tensor(ports.BNINCEPTION_PIXELS[kind], dtype=rgb.dtype).view(3, 1, 1) for kind in ("mean", "std")
    )
    for padding in ("caffe", "left"):
        options["pool_padding"] = padding
        model = registered.timm.create_model("bn_inception", num_classes=10, **options).double().eval()
        model.load_state_dict(ports.from_bninception(state))
        with torch.no_grad():
            agrees = torch.allclose(model((rgb - mean) / std), expected, rtol=1e-9, atol=1e-9)
        assert agrees == (padding == "caffe")


def test_paddings_of_pools():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert MaxPool(2, "left")(x)[0, 0].tolist() == [[5, 7], [13, 15]]  # windows from -1 to 1 and from 1 to 3
    assert MaxPool(2, "caffe")(x)[0, 0].tolist() == [[10, 11], [14, 15]]  # from 0 to 2 and from 2 to 4
    assert AveragePool("left")(x)[0, 0, 0, 0] == (0 + 1 + 4 + 5) / 4
    assert AveragePool("caffe")(x)[0, 0, 0, 0] == pytest.approx((0 + 1 + 4 + 5) / 9)
    for padding in ("left", "caffe"):
        assert torch.equal(MaxPool(1, padding)(x), F.max_pool2d(x, 3, 1, 1))
        for size in range(2, 9):
            assert MaxPool(2, padding)(torch.zeros(1, 1, size, size)).shape[2] == MaxPool(2, padding).size_out(size)


def test_every_network_takes_caffes_padding_and_no_other():
    for name in ("inception", "bn_googlenet"):
        model = registered.timm.create_model(name, width=0.25, pixels=64, aux=True, pool_padding="caffe").train()
        logits, _ = model(torch.randn(2, 3, 64, 64))
        assert logits.shape == (2, 1000)
        with pytest.raises(ValueError, match="pool_padding=same is not one of left, caffe"):
            registered.timm.create_model(name, pool_padding="same")
