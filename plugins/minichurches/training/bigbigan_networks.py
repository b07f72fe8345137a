"""Networks of the minichurches BigBiGAN, as they are trained: generator, encoder and joint critic.

Guarantees that generator and encoder have the tensors, by name and by use, that the family
``bigbigan`` reads (without classes), so that a run's ``state_dict`` is its published file.

The critic is that of Donahue and Simonyan 2019, figure 1: F sees the image, H the latent, J both
features; each has a score of its own (s_x, s_z, s_xz). F is a DCGAN's, strided, and not BigGAN's
residual one: at this size it costs a sixth and learns in fewer steps. Norms have batch statistics
here.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

SLOPE = 0.3  # of the encoder's leaky ReLU below zero


class Scores(NamedTuple):
    """What the critic says of pairs of image and latent, (N,) each."""

    x: Tensor
    z: Tensor
    xz: Tensor


class Wrapped(nn.Module):
    """A layer under the name ``layer``, with or without spectral norm."""

    def __init__(self, layer: nn.Module, *, spectral: bool = True) -> None:
        super().__init__()
        self.layer = spectral_norm(layer) if spectral else layer

    def forward(self, x: Tensor) -> Tensor:
        """As the layer's own."""
        found: Tensor = self.layer(x)
        return found


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and offset are linear in a piece of z."""

    def __init__(self, channels: int, piece: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, affine=False)
        self.linear = nn.Linear(piece, 2 * channels)
        nn.init.normal_(self.linear.weight, std=0.02)
        with torch.no_grad():
            self.linear.bias.copy_(torch.cat((torch.ones(channels), torch.zeros(channels))))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C, h, w) and (N, piece) to (N, C, h, w)."""
        gain, offset = self.linear(y)[:, :, None, None].chunk(2, dim=1)
        found: Tensor = gain * self.bn(x) + offset
        return found


class UpBlock(nn.Module):
    """A residual block that doubles the map."""

    def __init__(self, before: int, after: int, piece: int) -> None:
        super().__init__()
        self.skip_conv = Wrapped(nn.Conv2d(before, after, 1, bias=False))
        self.bn1 = ConditionalNorm(before, piece)
        self.conv1 = Wrapped(nn.Conv2d(before, after, 3, padding=1, bias=False))
        self.bn2 = ConditionalNorm(after, piece)
        self.conv2 = Wrapped(nn.Conv2d(after, after, 3, padding=1, bias=False))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(N, C_in, h, w) and (N, piece) to (N, C_out, 2h, 2w)."""
        h = self.conv1(F.interpolate(F.relu(self.bn1(x, y)), scale_factor=2.0))
        h = self.conv2(F.relu(self.bn2(h, y)))
        total: Tensor = h + F.interpolate(self.skip_conv(x), scale_factor=2.0)
        return total


class Attention(nn.Module):
    """Self-attention that begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_conv = Wrapped(nn.Conv2d(channels, channels // 8, 1))
        self.key_conv = Wrapped(nn.Conv2d(channels, channels // 8, 1))
        self.value_conv = Wrapped(nn.Conv2d(channels, channels, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        query, key = self.query_conv(x).flatten(2), self.key_conv(x).flatten(2)
        shares = torch.softmax(query.transpose(1, 2) @ key, dim=-1)
        seen = self.value_conv(x).flatten(2) @ shares.transpose(1, 2)
        total: Tensor = self.gamma * seen.unflatten(2, x.shape[2:]) + x
        return total


class TrainedGenerator(nn.Module):
    """z (N, D) to images (N, 3, R, R) in [-1, 1].

    Args:
        pre, post: channels after each block, before and after attention; each doubles the map.
        piece: numbers of z for the first layer and for each block.
    """

    def __init__(self, pre: Sequence[int], post: Sequence[int], piece: int) -> None:
        super().__init__()
        self.piece = piece
        self.linear = Wrapped(nn.Linear(piece, 16 * pre[0]))
        widths = (pre[0], *pre, *post)
        blocks = [UpBlock(before, after, piece) for before, after in itertools.pairwise(widths)]
        self.pre_up_blocks = nn.ModuleList(blocks[: len(pre)])
        self.non_loc = Attention(pre[-1])
        self.post_up_blocks = nn.ModuleList(blocks[len(pre) :])
        self.bn = nn.BatchNorm2d(post[-1])
        self.conv = Wrapped(nn.ConvTranspose2d(post[-1], 3, 3, padding=1, bias=False))

    @property
    def z_dim(self) -> int:
        """Length of z."""
        return self.piece * (1 + len(self.pre_up_blocks) + len(self.post_up_blocks))

    def forward(self, z: Tensor) -> Tensor:
        """See the class."""
        first, *pieces = z.split(self.piece, dim=1)
        before = len(self.pre_up_blocks)
        x = self.linear(first).unflatten(1, (-1, 4, 4))
        for block, piece in zip(self.pre_up_blocks, pieces[:before], strict=True):
            x = block(x, piece)
        x = self.non_loc(x)
        for block, piece in zip(self.post_up_blocks, pieces[before:], strict=True):
            x = block(x, piece)
        return 2 * torch.sigmoid(self.conv(F.relu(self.bn(x)))) - 1


class ResidualConvolutions(nn.Module):
    """f of a reversible block, on half of the channels; its shortcut is the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.skip_conv = Wrapped(nn.Conv2d(channels, channels, 1), spectral=False)  # in the layout
        for number in (1, 2):
            layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            self.add_module(f"conv{number}", Wrapped(layer, spectral=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        h = F.relu(self.get_submodule("bn1")(self.get_submodule("conv1")(x)))
        h = F.relu(self.get_submodule("bn2")(self.get_submodule("conv2")(h)))
        return h + x


class Reversible(nn.Module):
    """(x1, x2) to (x1 + f(x2), x2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res_block = ResidualConvolutions(channels // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same."""
        first, second = x.chunk(2, dim=1)
        return torch.cat((first + self.res_block(second), second), 1)


class Padding(nn.Module):
    """Halves the map and doubles the channels, the new ones being 0."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, 2C, h/2, w/2)."""
        x = F.avg_pool2d(x, 3, stride=2, padding=1)
        side = x.shape[1] // 2
        return F.pad(x, (0, 0, 0, 0, side, side))


class ResidualLinear(nn.Module):
    """Two linear layers and one beside them, with leaky ReLU."""

    def __init__(self, before: int, after: int, *, spectral: bool = False) -> None:
        super().__init__()
        self.linear1 = Wrapped(nn.Linear(before, after), spectral=spectral)
        self.linear2 = Wrapped(nn.Linear(after, after), spectral=spectral)
        self.skip_linear = Wrapped(nn.Linear(before, after), spectral=spectral)

    def forward(self, x: Tensor) -> Tensor:
        """(N, before) to (N, after)."""
        h = F.leaky_relu(self.linear2(F.leaky_relu(self.linear1(x), SLOPE)), SLOPE)
        return h + F.leaky_relu(self.skip_linear(x), SLOPE)


class TrainedEncoder(nn.Module):
    """Images (N, 3, R, R) in [-1, 1] to mean and standard deviation of z, (N, D) each.

    Args:
        width: channels of the first map; two blocks follow, then ``stages`` - 1 halvings with two
            blocks each.
    """

    def __init__(self, width: int, stages: int, hidden: int, z_dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 7, stride=2, padding=3)
        blocks: list[nn.Module] = []
        for stage in range(stages):
            blocks += [] if not stage else [Padding()]
            blocks += [Reversible(width << stage), Reversible(width << stage)]
        self.rev_blocks = nn.Sequential(*blocks)
        self.res_lin1 = ResidualLinear(width << (stages - 1), hidden)
        self.res_lin2 = ResidualLinear(hidden, hidden)
        self.linear_dist_params = nn.Linear(hidden, 2 * z_dim)

    def features(self, images: Tensor) -> Tensor:
        """What a linear probe reads: the last map's means over places, (N, channels)."""
        x = self.conv(F.interpolate(images, scale_factor=2.0))
        means: Tensor = self.rev_blocks(F.max_pool2d(x, 3, stride=2, padding=1)).mean((2, 3))
        return means

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = self.res_lin2(self.res_lin1(self.features(images)))
        mean, spread = self.linear_dist_params(x).chunk(2, dim=1)
        return mean, F.softplus(spread)


class BatchSpread(nn.Module):
    """Adds a channel: the mean standard deviation over the batch (Karras et al. 2018, section 3).

    Without it the critic cannot tell a generator that draws one picture.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C + 1, h, w)."""
        spread = (x.var(0, unbiased=False) + 1e-8).sqrt().mean()
        return torch.cat((x, spread.expand(len(x), 1, *x.shape[2:])), 1)


class JointCritic(nn.Module):
    """Scores of pairs of image and latent.

    Args:
        widths: channels of F's convolutions, each of which halves the map.
        hidden: length of the features of F, H and J.
        z_dim: length of z.
        side: height and width of the images.
    """

    def __init__(self, widths: Sequence[int], hidden: int, z_dim: int, side: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise((3, *widths)):
            layers += [Wrapped(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
        length = (widths[-1] + 1) * (side >> len(widths)) ** 2
        layers += [
            BatchSpread(),
            nn.Flatten(),
            Wrapped(nn.Linear(length, hidden)),
            nn.LeakyReLU(0.2),
        ]
        self.image = nn.Sequential(*layers)
        self.latent = nn.Sequential(
            ResidualLinear(z_dim, hidden, spectral=True),
            ResidualLinear(hidden, hidden, spectral=True),
        )
        self.joint = nn.Sequential(
            ResidualLinear(2 * hidden, hidden, spectral=True),
            ResidualLinear(hidden, hidden, spectral=True),
        )
        self.score_x, self.score_z, self.score_xz = (Wrapped(nn.Linear(hidden, 1)) for _ in "xzj")

    def forward(self, images: Tensor, z: Tensor) -> Scores:
        """Images (N, 3, R, R) in [-1, 1] and latents (N, D)."""
        seen, told = self.image(images), self.latent(z)
        both = self.joint(torch.cat((seen, told), 1))
        return Scores(self.score_x(seen)[:, 0], self.score_z(told)[:, 0], self.score_xz(both)[:, 0])
