"""SIREN kernel generators: coordinates -> sine of a linear map -> sine layers -> one kernel value per channel.

What is notable here:

* The first layer, the positional embedding, multiplies coordinates in [-1, 1] by frequencies of up to hundreds of
  radians. It runs in float32 (float64 for double weights) whatever the weights or autocast say.
* The variants differ only in that first layer (one frequency, one per row, a learnable one per row) and in the
  initial weights (block-diagonal); the rest is one base class.
* FiLM modulation (Perez et al., 2018) acts after each sine: before it, training diverges.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from components.functional.constraints import clamp_in_place
from components.functional.grid import axis_extents, coordinate_grid, full_precision
from components.functional.parameters import exempt_from_weight_decay

Omegas = Sequence[float] | Tensor


class SIRENPositionalEmbeddingND(nn.Module):
    """First SIREN layer: sin(W p + b) of every relative position p (Sitzmann et al. 2020, section 3.2).

    Attributes:
        linear: The map W [embedding_dim, data_dim], b [embedding_dim]; exempt from weight decay.
        omega_0: Frequency the weights were drawn with.
    """

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: float,
        use_bias: bool = True,
    ) -> None:
        """Draw W from U(-b, b) with b = 2 pi omega_0 / data_dim; the bias starts at 0.

        Args:
            data_dim: Number of axes D.
            embedding_dim: Width of the embedding.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            omega_0: Frequency factor in cycles per half range.
            use_bias: Whether the map has a bias.

        Raises:
            ValueError: If `L_cache` is not usable (see `axis_extents`) or `omega_0` is not positive.
        """
        super().__init__()
        self.L_cache_per_axis = axis_extents(L_cache, data_dim)
        self.omega_0 = _positive("omega_0", omega_0)
        self.linear = nn.Linear(data_dim, embedding_dim, bias=use_bias)
        _uniform(self.linear, 2 * math.pi * self.omega_0 / data_dim)
        exempt_from_weight_decay(self)

    def forward(self, seq_lens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Embed the positions of all taps of a kernel over `seq_lens` samples.

        Args:
            seq_lens: Samples N per axis.

        Returns:
            Embedding [1, 2 N_1 - 1, ..., 2 N_D - 1, embedding_dim] in the dtype of the weights, and the positions
            [1, 2 N_1 - 1, ..., 2 N_D - 1, D] in float32 or float64.

        Raises:
            ValueError: If `seq_lens` does not have one entry per axis.
        """
        grid = coordinate_grid(seq_lens, self.L_cache_per_axis, like=self.linear.weight)
        weight, bias = self._frequencies(grid.dtype)
        with full_precision(grid):
            embedding = torch.sin(F.linear(grid, weight, bias))
        return embedding.to(self.linear.weight.dtype), grid

    def _frequencies(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """Return the weight [E, D] and bias [E] that give the phases, in `dtype`."""
        bias = self.linear.bias
        return self.linear.weight.to(dtype), None if bias is None else bias.to(dtype)


class MultiOmegaSIRENPositionalEmbeddingND(SIRENPositionalEmbeddingND):
    """First SIREN layer whose rows start at frequencies of their own.

    Attributes:
        omega_0_per_row: Frequency of every row; `omega_0` is their mean.
    """

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0_per_row: Omegas,
        use_bias: bool = True,
    ) -> None:
        """Draw row k of W from U(-b, b) with b = 2 pi omega_k / data_dim.

        Args:
            data_dim: Number of axes D.
            embedding_dim: Width of the embedding.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            omega_0_per_row: One frequency factor per row, `embedding_dim` in all.
            use_bias: Whether the map has a bias.

        Raises:
            ValueError: If `L_cache` is not usable, or the frequencies are not `embedding_dim` positive numbers.
        """
        omegas = _omegas("omega_0_per_row", omega_0_per_row, embedding_dim)
        super().__init__(data_dim, embedding_dim, L_cache, sum(omegas) / len(omegas), use_bias)
        self.omega_0_per_row = omegas
        with torch.no_grad():
            self.linear.weight.mul_(self.linear.weight.new_tensor(omegas).div_(self.omega_0).unsqueeze(1))


class LearnableOmegaSIRENPositionalEmbeddingND(SIRENPositionalEmbeddingND):
    """First SIREN layer whose frequency is learned per row: sin((W p + b) * 2 pi omega_0 * s).

    The scale s is clamped in place at every forward pass, so an optimiser step cannot push it out of its range.

    Attributes:
        omega_0_scale: The scale s, shape [embedding_dim]; exempt from weight decay.
    """

    def __init__(
        self,
        data_dim: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        omega_0: float,
        omega_0_scale_init: float | Omegas = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        use_bias: bool = True,
        apply_lr_scale: bool = False,
    ) -> None:
        """Draw W from U(-1/D, 1/D): the frequency is in the scale, not in the weights.

        Args:
            data_dim: Number of axes D.
            embedding_dim: Width of the embedding.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            omega_0: Frequency factor at scale 1.
            omega_0_scale_init: Initial scale, one for all rows or one per row.
            omega_0_scale_min: Smallest allowed scale.
            omega_0_scale_max: Largest allowed scale.
            use_bias: Whether the map has a bias.
            apply_lr_scale: Tag the map with `_lr_scale = 1 / (2 pi omega_0)`, which undoes the factor that the
                frequency puts on its gradients.

        Raises:
            ValueError: If `L_cache` or `omega_0` is not usable, the range is not 0 < min <= max, or the initial
                scales have another length than `embedding_dim` or lie outside the range.
        """
        super().__init__(data_dim, embedding_dim, L_cache, omega_0, use_bias)
        self.omega_0_scale_min, self.omega_0_scale_max = float(omega_0_scale_min), float(omega_0_scale_max)
        self.omega_0_const = 2 * math.pi * self.omega_0
        if not 0 < self.omega_0_scale_min <= self.omega_0_scale_max:
            raise ValueError(
                f"Expected 0 < omega_0_scale_min <= omega_0_scale_max, got {omega_0_scale_min} and {omega_0_scale_max}"
            )
        if isinstance(omega_0_scale_init, (int, float)):
            omega_0_scale_init = [float(omega_0_scale_init)] * embedding_dim
        scales = _omegas("omega_0_scale_init", omega_0_scale_init, embedding_dim)
        if min(scales) < self.omega_0_scale_min or max(scales) > self.omega_0_scale_max:
            raise ValueError(
                f"Expected omega_0_scale_init within [{omega_0_scale_min}, {omega_0_scale_max}], "
                f"got values from {min(scales)} to {max(scales)}"
            )
        _uniform(self.linear, 1.0 / data_dim)
        self.omega_0_scale = nn.Parameter(torch.tensor(scales))
        exempt_from_weight_decay(self)
        if apply_lr_scale:
            for parameter in self.linear.parameters():
                parameter._lr_scale = 1.0 / self.omega_0_const  # type: ignore[attr-defined]

    def _frequencies(self, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        clamp_in_place(self.omega_0_scale, self.omega_0_scale_min, self.omega_0_scale_max)
        omegas = self.omega_0_scale.to(dtype) * self.omega_0_const
        weight, bias = super()._frequencies(dtype)
        # Scaling the rows of the map costs E * D, scaling the phases would cost the number of taps * E.
        return weight * omegas.unsqueeze(1), None if bias is None else bias * omegas


class _SIRENNetwork(nn.Module):
    """Sine layers and output layer behind a positional embedding: the body of every SIREN kernel."""

    def __init__(
        self,
        positional_embedding: SIRENPositionalEmbeddingND,
        out_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        use_bias: bool,
        hidden_omega_0: float,
        film_generator: nn.Module | None,
        film_after_pos_embed: bool,
    ) -> None:
        super().__init__()
        if num_layers < 2:
            raise ValueError(f"Expected num_layers of at least 2, got {num_layers}")
        _positive("hidden_omega_0", hidden_omega_0)
        embedding_dim = positional_embedding.linear.out_features
        if film_after_pos_embed and embedding_dim != mlp_hidden_dim:
            raise ValueError(
                "Expected embedding_dim equal to mlp_hidden_dim with film_after_pos_embed, "
                f"got {embedding_dim} and {mlp_hidden_dim}"
            )
        self.omega_0, self.hidden_omega_0 = positional_embedding.omega_0, float(hidden_omega_0)
        self.L_cache_per_axis = positional_embedding.L_cache_per_axis
        self.film_after_pos_embed = film_after_pos_embed
        self.positional_embedding = positional_embedding
        widths = [embedding_dim] + [mlp_hidden_dim] * (num_layers - 1)
        self.hidden_linears = nn.ModuleList(
            nn.Linear(fan_in, fan_out, bias=use_bias) for fan_in, fan_out in itertools.pairwise(widths)
        )
        self.out_linear = nn.Linear(mlp_hidden_dim, out_dim, bias=use_bias)
        self.num_film_layers = len(self.hidden_linears)
        self._initialise()
        self.film_generator = film_generator
        self._check_film(mlp_hidden_dim)

    @property
    def linears(self) -> list[nn.Linear]:
        """The linear maps after the embedding, the output last."""
        return [*(layer for layer in self.hidden_linears if isinstance(layer, nn.Linear)), self.out_linear]

    def _initialise(self) -> None:
        """Draw the layers after the embedding and tag what does not decay.

        U(-b, b) with b = sqrt(6 / fan_in) keeps the pre-activations at unit variance; the hidden omega of
        Sitzmann et al. cancels out of weight times omega, so it has no effect. The output shrinks with the number
        of taps so that the convolution neither grows nor fades with the extent.
        """
        for linear in self.linears[:-1]:
            _uniform(linear, math.sqrt(6.0 / linear.in_features))
        taps = math.prod(self.L_cache_per_axis)
        _uniform(self.out_linear, math.sqrt(6.0 / self.out_linear.in_features / taps))
        exempt_from_weight_decay(self.hidden_linears)
        if self.out_linear.bias is not None:
            self.out_linear.bias._no_weight_decay = True  # type: ignore[attr-defined]

    def _check_film(self, mlp_hidden_dim: int) -> None:
        if self.film_generator is None:
            return
        expected = len(self.hidden_linears) + int(self.film_after_pos_embed)
        layers = getattr(self.film_generator, "num_film_layers", expected)
        if layers != expected:
            raise ValueError(
                f"Expected a film_generator of num_film_layers {expected} ({len(self.hidden_linears)} sine layers"
                f"{' and the embedding' if self.film_after_pos_embed else ''}), got {layers}"
            )
        width = getattr(self.film_generator, "kernel_hidden_dim", mlp_hidden_dim)
        if width != mlp_hidden_dim:
            raise ValueError(f"Expected a film_generator of kernel_hidden_dim {mlp_hidden_dim}, got {width}")

    def forward(self, seq_lens: Sequence[int], conditioning: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Generate the kernel over `seq_lens` samples.

        Args:
            seq_lens: Samples N per axis.
            conditioning: One vector per sample for the FiLM generator, shape [B, cond_dim]. Without it, or without
                a generator, the kernel is not modulated.

        Returns:
            Kernel [1 or B, 2 N_1 - 1, ..., 2 N_D - 1, out_dim], one per sample if modulated, and the positions of
            its taps [1, 2 N_1 - 1, ..., 2 N_D - 1, D].

        Raises:
            ValueError: If `seq_lens` does not have one entry per axis.
        """
        h, grid = self.positional_embedding(seq_lens)
        modulations = self._modulations(conditioning, h.ndim)
        if self.film_after_pos_embed and modulations:
            h = _modulate(h, modulations.pop(0))
        for index, linear in enumerate(self.hidden_linears):
            h = torch.sin(linear(h))
            if modulations:
                h = _modulate(h, modulations[index])
        return self.out_linear(h), grid

    def _modulations(self, conditioning: Tensor | None, ndim: int) -> list[tuple[Tensor, Tensor]]:
        """Return scale and shift [B, 1, ..., 1, M] per modulated layer; empty without modulation."""
        if conditioning is None or self.film_generator is None:
            return []
        pairs = self.film_generator(conditioning)
        shape = (-1,) + (1,) * (ndim - 2)
        return [(scale.view(*shape, scale.shape[-1]), shift.view(*shape, shift.shape[-1])) for scale, shift in pairs]


class SIRENKernelND(_SIRENNetwork):
    """Kernel generator of one frequency omega_0 (Sitzmann et al. 2020; Romero et al. 2022).

    Attributes:
        positional_embedding: First layer.
        hidden_linears: Sine layers, max(1, num_layers - 1) of them.
        out_linear: Output layer; its weight is the only parameter that decays.
        film_generator: Makes one (scale, shift) pair per sine layer from a conditioning vector, or None.
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: float,
        L_cache: int | Sequence[int],
        use_bias: bool,
        hidden_omega_0: float = 1.0,
        film_generator: nn.Module | None = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        """Build the layers.

        Args:
            out_dim: Channels of the kernel.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the sine layers.
            num_layers: Layers including the embedding, at least 2: num_layers - 1 sine layers follow it.
            embedding_dim: Width of the embedding.
            omega_0: Frequency factor of the embedding.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            hidden_omega_0: Kept for configurations of the reference; it cancels out (see `_initialise`).
            film_generator: Module (conditioning [B, cond]) -> list of (scale [B, M], shift [B, M]), or None.
            film_after_pos_embed: Modulate the embedding too; needs embedding_dim = mlp_hidden_dim.

        Raises:
            ValueError: If a size or frequency is out of range, or the generator makes another number or width of
                modulations than there are layers to modulate.
        """
        super().__init__(
            SIRENPositionalEmbeddingND(data_dim, embedding_dim, L_cache, omega_0, use_bias),
            out_dim,
            mlp_hidden_dim,
            num_layers,
            use_bias,
            hidden_omega_0,
            film_generator,
            film_after_pos_embed,
        )


class MultiOmegaSIRENKernelND(_SIRENNetwork):
    """Kernel generator whose embedding rows start at frequencies of their own."""

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0_per_row: Omegas,
        L_cache: int | Sequence[int],
        use_bias: bool,
        hidden_omega_0: float = 1.0,
        film_generator: nn.Module | None = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        """Build the layers; arguments as `SIRENKernelND`.

        Args:
            out_dim: Channels of the kernel.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the sine layers.
            num_layers: Layers including the embedding, at least 2.
            embedding_dim: Width of the embedding.
            omega_0_per_row: One frequency factor per row of the embedding.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            hidden_omega_0: No effect, see `SIRENKernelND`.
            film_generator: See `SIRENKernelND`.
            film_after_pos_embed: See `SIRENKernelND`.

        Raises:
            ValueError: As `SIRENKernelND`, and if the frequencies are not `embedding_dim` positive numbers.
        """
        embedding = MultiOmegaSIRENPositionalEmbeddingND(data_dim, embedding_dim, L_cache, omega_0_per_row, use_bias)
        super().__init__(
            embedding,
            out_dim,
            mlp_hidden_dim,
            num_layers,
            use_bias,
            hidden_omega_0,
            film_generator,
            film_after_pos_embed,
        )
        self.omega_0_per_row = embedding.omega_0_per_row


class LearnableOmegaSIRENKernelND(_SIRENNetwork):
    """Kernel generator whose frequencies are learned per row of the embedding."""

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        omega_0: float,
        L_cache: int | Sequence[int],
        use_bias: bool,
        omega_0_scale_init: float | Omegas = 1.0,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_generator: nn.Module | None = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        """Build the layers; at the start distributed as `SIRENKernelND` when the scale is 1.

        Args:
            out_dim: Channels of the kernel.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the sine layers.
            num_layers: Layers including the embedding, at least 2.
            embedding_dim: Width of the embedding.
            omega_0: Frequency factor at scale 1.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            omega_0_scale_init: Initial scale, one for all rows or one per row.
            omega_0_scale_min: Smallest allowed scale.
            omega_0_scale_max: Largest allowed scale.
            hidden_omega_0: No effect, see `SIRENKernelND`.
            apply_lr_scale: See `LearnableOmegaSIRENPositionalEmbeddingND`.
            film_generator: See `SIRENKernelND`.
            film_after_pos_embed: See `SIRENKernelND`.

        Raises:
            ValueError: As `SIRENKernelND`, and if the scales are out of range.
        """
        embedding = LearnableOmegaSIRENPositionalEmbeddingND(
            data_dim,
            embedding_dim,
            L_cache,
            omega_0,
            omega_0_scale_init,
            omega_0_scale_min,
            omega_0_scale_max,
            use_bias,
            apply_lr_scale,
        )
        super().__init__(
            embedding,
            out_dim,
            mlp_hidden_dim,
            num_layers,
            use_bias,
            hidden_omega_0,
            film_generator,
            film_after_pos_embed,
        )


class BlockDiagonalMultiOmegaSIRENKernelND(MultiOmegaSIRENKernelND):
    """Kernel generator split into weakly coupled blocks, each starting at a frequency of its own.

    The hidden and output weights start block-diagonal: entries off the diagonal blocks are scaled down. Training
    may change them freely.

    Attributes:
        omega_0_per_block: Frequency of every block.
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        num_blocks: int = 8,
        omega_0_min: float = 1.0,
        omega_0_max: float = 12.0,
        schedule: str = "linear",
        off_block_scale: float = 0.1,
        omega_0_per_block: Omegas | None = None,
        hidden_omega_0: float = 1.0,
        film_generator: nn.Module | None = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        """Build the layers and scale down the weights between blocks.

        Args:
            out_dim: Channels of the kernel, divisible by `num_blocks`.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the sine layers, divisible by `num_blocks`.
            num_layers: Layers including the embedding, at least 2.
            embedding_dim: Width of the embedding, divisible by `num_blocks`.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            num_blocks: Number of blocks K.
            omega_0_min: Frequency factor of the first block.
            omega_0_max: Frequency factor of the last block.
            schedule: 'linear' or 'log' spacing between them.
            off_block_scale: Factor on initial weights between different blocks.
            omega_0_per_block: K frequency factors, replacing the schedule; None to use it.
            hidden_omega_0: No effect, see `SIRENKernelND`.
            film_generator: See `SIRENKernelND`.
            film_after_pos_embed: See `SIRENKernelND`.

        Raises:
            ValueError: As `SIRENKernelND`, and if a width is not divisible by `num_blocks` or the schedule is not
                usable.
        """
        _check_blocks(num_blocks, embedding_dim, mlp_hidden_dim, out_dim)
        omegas = _block_omegas(num_blocks, omega_0_min, omega_0_max, schedule, omega_0_per_block)
        super().__init__(
            out_dim,
            data_dim,
            mlp_hidden_dim,
            num_layers,
            embedding_dim,
            _repeat(omegas, embedding_dim // num_blocks),
            L_cache,
            use_bias,
            hidden_omega_0,
            film_generator,
            film_after_pos_embed,
        )
        self.num_blocks, self.omega_0_per_block, self.off_block_scale = num_blocks, omegas, off_block_scale
        _scale_off_blocks(self, num_blocks, off_block_scale)


class BlockDiagonalLearnableOmegaSIRENKernelND(LearnableOmegaSIRENKernelND):
    """Kernel generator split into weakly coupled blocks whose frequencies are learned.

    The largest frequency of the schedule is omega_0, the others start as scales of it.

    Attributes:
        omega_0_per_block: Initial frequency of every block.
    """

    def __init__(
        self,
        out_dim: int,
        data_dim: int,
        mlp_hidden_dim: int,
        num_layers: int,
        embedding_dim: int,
        L_cache: int | Sequence[int],
        use_bias: bool,
        num_blocks: int = 8,
        omega_0_min: float = 1.0,
        omega_0_max: float = 12.0,
        schedule: str = "linear",
        off_block_scale: float = 0.1,
        omega_0_per_block: Omegas | None = None,
        omega_0_scale_min: float = 1e-2,
        omega_0_scale_max: float = 2.0,
        hidden_omega_0: float = 1.0,
        apply_lr_scale: bool = False,
        film_generator: nn.Module | None = None,
        film_after_pos_embed: bool = False,
    ) -> None:
        """Build the layers and scale down the weights between blocks.

        Args:
            out_dim: Channels of the kernel, divisible by `num_blocks`.
            data_dim: Number of axes D.
            mlp_hidden_dim: Width M of the sine layers, divisible by `num_blocks`.
            num_layers: Layers including the embedding, at least 2.
            embedding_dim: Width of the embedding, divisible by `num_blocks`.
            L_cache: Reference extent in samples, one for all axes or one per axis.
            use_bias: Whether the linear maps have biases.
            num_blocks: Number of blocks K.
            omega_0_min: Initial frequency factor of the first block.
            omega_0_max: Initial frequency factor of the last block.
            schedule: 'linear' or 'log' spacing between them.
            off_block_scale: Factor on initial weights between different blocks.
            omega_0_per_block: K initial frequency factors, replacing the schedule; None to use it.
            omega_0_scale_min: Smallest allowed frequency, as a fraction of the largest initial one.
            omega_0_scale_max: Largest allowed frequency, as a multiple of the largest initial one.
            hidden_omega_0: No effect, see `SIRENKernelND`.
            apply_lr_scale: See `LearnableOmegaSIRENPositionalEmbeddingND`.
            film_generator: See `SIRENKernelND`.
            film_after_pos_embed: See `SIRENKernelND`.

        Raises:
            ValueError: As `BlockDiagonalMultiOmegaSIRENKernelND`, and if the schedule spans more than the range of
                scales allows.
        """
        _check_blocks(num_blocks, embedding_dim, mlp_hidden_dim, out_dim)
        omegas = _block_omegas(num_blocks, omega_0_min, omega_0_max, schedule, omega_0_per_block)
        largest = max(omegas)
        super().__init__(
            out_dim,
            data_dim,
            mlp_hidden_dim,
            num_layers,
            embedding_dim,
            largest,
            L_cache,
            use_bias,
            _repeat([omega / largest for omega in omegas], embedding_dim // num_blocks),
            omega_0_scale_min,
            omega_0_scale_max,
            hidden_omega_0,
            apply_lr_scale,
            film_generator,
            film_after_pos_embed,
        )
        self.num_blocks, self.omega_0_per_block, self.off_block_scale = num_blocks, omegas, off_block_scale
        _scale_off_blocks(self, num_blocks, off_block_scale)


def _modulate(h: Tensor, modulation: tuple[Tensor, Tensor]) -> Tensor:
    scale, shift = modulation
    return scale * h + shift


def _uniform(linear: nn.Linear, bound: float) -> None:
    """Draw the weight from U(-bound, bound) and zero the bias."""
    nn.init.uniform_(linear.weight, -bound, bound)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)


def _positive(name: str, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"Expected a positive {name}, got {value}")
    return float(value)


def _omegas(name: str, values: Omegas, length: int) -> tuple[float, ...]:
    """Read `length` positive numbers from a sequence or tensor."""
    flat = values.flatten().tolist() if isinstance(values, Tensor) else list(values)
    if len(flat) != length:
        raise ValueError(f"Expected {length} values in {name}, got {len(flat)}")
    return tuple(_positive(f"value in {name}", value) for value in flat)


def _repeat(values: Sequence[float], times: int) -> list[float]:
    return [value for value in values for _ in range(times)]


def _check_blocks(num_blocks: int, embedding_dim: int, mlp_hidden_dim: int, out_dim: int) -> None:
    if num_blocks < 1:
        raise ValueError(f"Expected num_blocks of at least 1, got {num_blocks}")
    widths = {"embedding_dim": embedding_dim, "mlp_hidden_dim": mlp_hidden_dim, "out_dim": out_dim}
    for name, width in widths.items():
        if width % num_blocks:
            raise ValueError(f"Expected {name} divisible by num_blocks={num_blocks}, got {width}")


def _block_omegas(
    num_blocks: int, low: float, high: float, schedule: str, explicit: Omegas | None
) -> tuple[float, ...]:
    """Return one frequency per block: the explicit ones, or a spacing from `low` to `high` inclusive."""
    if explicit is not None:
        return _omegas("omega_0_per_block", explicit, num_blocks)
    _positive("omega_0_min", low)
    _positive("omega_0_max", high)
    if high < low:
        raise ValueError(f"Expected omega_0_max of at least omega_0_min={low}, got {high}")
    fractions = [block / max(num_blocks - 1, 1) for block in range(num_blocks)]
    if schedule == "linear":
        return tuple(low * (1 - fraction) + high * fraction for fraction in fractions)
    if schedule == "log":
        return tuple(low ** (1 - fraction) * high**fraction for fraction in fractions)
    raise ValueError(f"Expected the schedule 'linear' or 'log', got {schedule!r}")


@torch.no_grad()
def _scale_off_blocks(network: _SIRENNetwork, num_blocks: int, scale: float) -> None:
    """Multiply hidden and output weights by 1 on the diagonal blocks and by `scale` elsewhere."""
    for linear in network.linears:
        weight = linear.weight.view(num_blocks, linear.out_features // num_blocks, num_blocks, -1)
        keep = torch.eye(num_blocks, device=weight.device).view(num_blocks, 1, num_blocks, 1)
        weight.mul_(keep + scale * (1 - keep))
