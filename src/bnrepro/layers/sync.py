"""Batch normalisation whose mini-batch is that of all replicas together; an option, the paper's is each its own."""

import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd import Function

from bnrepro.layers.batch_norm import BatchNorm, check_axes, pooled_axes, widened


class _SumOverReplicas(Function):
    """The sum of all replicas' x. Each replica's loss depends on every x, so gradients are summed in the same way."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return _SumOverReplicas.apply(grad.contiguous())  # and not in place: this sum has a derivative too


class SynchronisedBatchNorm(BatchNorm):
    """Alg. 1 over (R*N, C, *), where each of R replicas holds N; gradients flow through the shared statistics.

    `torch.nn.SyncBatchNorm` does the same and runs on GPUs only. Alone it is `BatchNorm`.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        check_axes(x)
        wide, axes = widened(x), pooled_axes(x)
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
    """Turn every `BatchNorm` of a network into a synchronised one, parameters and buffers kept."""
    for module in model.modules():
        if type(module) is BatchNorm:
            module.__class__ = SynchronisedBatchNorm
    return model
