"""Networks whose code is published and whose keys are their own, so that little need be asked.

Guarantees that a network is taken for one of these only if every layer has the place and every
width that the code fixes (other widths where the option ``condition`` names the code), and that
what a file's own record says is followed.

Sources: facebookresearch/pytorch_GAN_zoo (torch.hub ``DCGAN``), see ``gan_zoo``; and
eriklindernoren/PyTorch-GAN. ``gan``, ``wgan``, ``wgan_gp``, ``wgan_div``, ``bgan`` and
``softmax_gan`` share one stack of linear layers; ``dcgan``, ``dragan``, ``began``,
``relativistic_gan`` and older ``lsgan`` one of convolutions, ``ebgan`` and newer ``lsgan`` the same
without its first norm. All norms but that first one have epsilon 0.8, which the code passes in
place of a momentum. ``acgan`` (z times the class's row of ``label_emb``) is the one of
convolutions, ``cgan`` (the row before z) that of linear layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from seeingkit.errors import UsageError
from seeingkit.weights import Network

from ..catalog.dcgan import DCGANOptions, MLPGANOptions
from ..gan_zoo import attributes_of, check_record, final_of, record_of
from .chain import FoundLayer
from .plan import EPS, Condition

Options = DCGANOptions | MLPGANOptions

_WIDTHS = (128, 256, 512, 1024)
_FIRST = 128  # channels of the first map of the convolutions, and of the next
_NUMBERS = ((2, 6, 9), (1, 5, 8))  # of the convolutions: with and without the first norm


@dataclass(frozen=True)
class Layout:
    """What the code of a known network says that its file does not.

    Attributes:
        name: in words.
        settings: of the whole plan.
        layers: for each layer the values of its plan that differ from the usual.
        condition: how the class meets z.
        notes: what else was taken to be so.
    """

    name: str
    settings: Mapping[str, Any]
    layers: Sequence[Mapping[str, Any]] = field(default=())
    condition: Condition | None = None
    notes: tuple[str, ...] = ()


_SETTINGS = {"activation": "leaky", "slope": 0.2, "final": "tanh", "eps": 0.8}


def known_layout(
    path: Path, layers: Sequence[FoundLayer], network: Network, options: Options
) -> Layout | None:
    """The published network that a stack is, or None.

    Args:
        path: the file, for messages.
        layers: first to last.
        network: that they are of, with what lies beside it.
        options: ``final``, ``condition``.

    Raises:
        StateMismatchError: a record beside the network contradicts it.
        UsageError: a setting that the file lacks must be given; or an option does not fit.
    """
    found = _of_gan_zoo(path, layers, network, options) or _of_pytorch_gan(path, layers, options)
    if options.condition is not None and (found is None or not layers[0].tables):
        raise UsageError(
            f"{path}: condition={options.condition} is for files of PyTorch-GAN with a class table"
        )
    return found


# --------------------------------------------------------------------------------- pytorch_GAN_zoo


_ZOO_FIRST, _ZOO_LAST = "formatLayer", "main.outlayer"


def _of_gan_zoo(
    path: Path, layers: Sequence[FoundLayer], network: Network, options: Options
) -> Layout | None:
    names = [layer.main.path for layer in layers]
    inner = [f"main.convTranspose{k}" for k in range(1, len(layers) - 1)]
    norms = [[m.path for m in layer.others] for layer in layers]
    expected = [*([f"main.batchNorm{k}"] for k in range(len(layers) - 1)), []]
    if names != [_ZOO_FIRST, *inner, _ZOO_LAST] or norms != expected or layers[0].tables:
        return None
    record = record_of(network)
    final, condition, notes = options.final, None, list[str]()
    if record is not None:
        final = final_of(path, record)
        if options.final not in (None, final):
            raise UsageError(f"{path}: final={options.final}, but the file's config says {final}")
        said = {"latentVectorDim": layers[0].inputs, "dimG": layers[-1].inputs}
        said |= {"depth": len(layers) - 2, "dimOutput": layers[-1].outputs}
        check_record(path, record, said)
        found = attributes_of(path, record, layers[0].inputs)
        if found.sizes:
            condition = Condition(kind="attributes", sizes=found.sizes, names=found.names)
    elif final is None:
        raise UsageError(
            f"{path}: a DCGAN of pytorch_GAN_zoo without its config, which says what comes after "
            "the last layer; give the file as it was saved, or final=tanh (losses DCGAN, MSE) or "
            "final=none (WGANGP, the default, and Logistic)"
        )
    if options.key is None and network.averaged:
        notes.append(f"key={network.where}, the running average of the weights")
    doubling = {"kind": "up", "stride": 2, "padding": 1}
    return Layout(
        "the DCGAN of pytorch_GAN_zoo" + (" with its config" if record is not None else ""),
        {"activation": "relu", "final": final, "eps": EPS},
        ({"kind": "up", "stride": 1}, *(doubling for _ in layers[1:])),
        condition,
        tuple(notes),
    )


# ------------------------------------------------------------------------------------- PyTorch-GAN


def _of_pytorch_gan(path: Path, layers: Sequence[FoundLayer], options: Options) -> Layout | None:
    places = [layer.main.place for layer in layers]
    if None in places or len(layers[0].tables) > 1:
        return None
    numbers = tuple(place[1] for place in places if place)
    norms = [[m.place[1] if m.place else -1 for m in layer.others] for layer in layers]
    outputs = tuple(layer.outputs for layer in layers)
    told = options.condition is not None  # whoever says how the class meets z may have other widths
    if {layer.kind for layer in layers} == {"linear"}:
        fits = numbers == (0, 2, 5, 8, 11) and norms == [[], [3], [6], [9], []]
        if fits and (told or outputs[:-1] == _WIDTHS):
            return _conditioned(path, Layout(_LINEAR, _SETTINGS), layers, options)
        return None
    convolutions = numbers[1:]
    if numbers[0] or convolutions not in _NUMBERS:
        return None
    widths = (layers[0].channels, *outputs[1:3])
    if widths != (_FIRST, _FIRST, _FIRST // 2) and not told:
        return None
    normed = convolutions == _NUMBERS[0]
    expected = [[0] if normed else [], [convolutions[0] + 1], [convolutions[1] + 1], []]
    kernels = {layer.main.shape[2:] for layer in layers[1:]}
    if norms != expected or kernels != {(3, 3)}:
        return None
    doubled = {"kind": "conv", "stride": 1, "padding": 1, "upsample": 2, "active": True}
    first = {"active": False, "first": "norm", "native": None, "eps": 1e-5 if normed else None}
    plans = (first, doubled, doubled, {**doubled, "upsample": 1})
    return _conditioned(path, Layout(_CONVOLUTIONS, _SETTINGS, plans), layers, options)


_LINEAR = "the linear generator of PyTorch-GAN (gan, wgan, …)"
_CONVOLUTIONS = "the convolutional generator of PyTorch-GAN (dcgan, lsgan, …)"
_TABLE = "label_emb"
_NOT_INFOGAN = "all it takes is noise (infogan has the same keys, and takes a class and codes too)"


def _conditioned(
    path: Path, plain: Layout, layers: Sequence[FoundLayer], options: Options
) -> Layout | None:
    """The layout with its table of classes, if it has one; None where that is no such table."""
    if not layers[0].tables:
        return plain if plain.name == _LINEAR else replace(plain, notes=(_NOT_INFOGAN,))
    (table,) = layers[0].tables
    classes, width = table.shape
    inputs, linear = layers[0].inputs, plain.name == _LINEAR
    fits = classes == width < inputs if linear else width == inputs
    if table.path.rpartition(".")[2] != _TABLE or not fits:
        return None
    kind: Literal["product", "before"] = "before" if linear else "product"
    if options.condition not in (None, kind) and (linear or options.condition != "none"):
        raise UsageError(
            f"{path}: condition={options.condition}, but its table has {classes} rows of {width} "
            f"numbers, as for condition={kind}"
        )
    if options.condition == "none":
        return replace(plain, name=f"{_CONVOLUTIONS[:-1]}, sgan)")
    condition = Condition(kind=kind, sizes=(classes,), width=width, name=table.path)
    if linear:
        note = "condition=before, the class's row of label_emb stands before z (cgan)"
        return replace(plain, condition=condition, notes=(note,))
    note = (
        "condition=product of z and the class's row of label_emb (acgan; sgan has the same keys, "
        "and does not use them: condition=none)"
    )
    notes = (note,) if options.condition is None else ()
    return replace(plain, condition=condition, notes=notes)
