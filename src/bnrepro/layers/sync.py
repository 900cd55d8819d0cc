"""Batch normalisation over the mini-batches of all replicas together. It is an option: the paper's are separate."""

import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.layers.batch_norm import BatchNorm, widened


class _SumOverReplicas(Function):
    """The sum of x over all replicas. The loss of each replica depends on every x, so gradients are summed as well."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _SumOverReplicas.apply(grad.contiguous())  # an operation of autograd, so that it has a derivative too


class SynchronisedBatchNorm(BatchNorm):
    """Alg. 1 over (R*N, C, *), where each of R replicas holds N examples; gradients pass the shared statistics.

    `torch.nn.SyncBatchNorm` does the same but runs on GPUs only. With one process it is `BatchNorm`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        self._check_input_dim(x)
        wide, axes = widened(x), [0, *range(2, x.dim())]
        shape = [1, -1] + [1] * (x.dim() - 2)
        m = dist.get_world_size() * x.numel() // self.num_features
        mean = _SumOverReplicas.apply(wide.sum(axes)) / m
        centred = wide - mean.view(shape)
        variance = _SumOverReplicas.apply(centred.square().sum(axes)) / m
        self._track(mean.detach(), variance.detach(), m)
        y = centred * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            y = y * self.weight.view(shape) + self.bias.view(shape)
        return y.to(x.dtype)


def synchronise(model: nn.Module) -> nn.Module:
    """Turn every `BatchNorm` of a network into a synchronised one, with its parameters and buffers."""
    for module in model.modules():
        if type(module) is BatchNorm:
            module.__class__ = SynchronisedBatchNorm
    return model
