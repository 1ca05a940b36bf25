"""Shared fixtures: one thread for torch, so that two test workers do not fight over two cores."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
