"""S4: convolution with the kernel of a diagonal plus low-rank state space.

The reference evaluates the kernel's generating function at the roots of unity, which needs a truncated output map C~
tied to one length. Here the bilinear system itself is raised to powers, in real double precision and by doubling: the
kernel is exact at every length, the parameter is C, and a step computes the same function as the convolution.
"""

from __future__ import annotations

import torch

from components.functional.ssm_kernel import StateSpaceKernel, tile
from components.functional.ssm_layer import StateSpaceLayer
from components.functional.ssm_scan import LowRankSystem, conjugate, deinterleave, interleave


class S4Kernel(StateSpaceKernel):
    """Kernel K[l] = Re(C A^l B) of x' = (diag(Lambda) - sum_r P_r P_r^*) x + B u under the bilinear rule.

    Constructor, shapes and parameters: see `StateSpaceKernel`. Methods: see `DiscreteKernel`.
    """

    discretisations = ("bilinear",)
    low_rank = True

    def discretize(self, rate: float = 1.0) -> LowRankSystem:
        """Discretise by the bilinear rule, see `DiscreteKernel.discretize`.

        Source: S4 (2022), eq. 3; the Woodbury identity of its appendix C.3 is applied to one row of P at a time.
        """
        B, C = self.coefficients()
        P = tile(torch.view_as_complex(self.P.double()), self.d_model)
        return LowRankSystem.bilinear(self.eigenvalues(), P, self.steps(rate), B, 2 * C)

    @torch.no_grad()
    def _undo_truncation(self, length: int) -> None:
        """Solve C~ = C (1 - A^length) for C, in place (S4, 2022, algorithm 1)."""
        system = self.discretize()
        remaining = torch.linalg.matrix_power(system.dense(), length)
        truncated = interleave(conjugate(system.C / 2)).transpose(0, 1).mT
        solved = torch.linalg.solve(torch.eye(len(remaining[0])).to(remaining) - remaining, truncated)
        self.C.copy_(torch.view_as_real(conjugate(deinterleave(solved.mT.contiguous()))).transpose(0, 1))


class S4(StateSpaceLayer):
    """S4 layer, see `StateSpaceLayer`; the only discretisation is `bilinear`."""

    kernel_type = S4Kernel
