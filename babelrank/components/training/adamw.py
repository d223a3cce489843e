"""Adam with decoupled weight decay, as an optimizer of `tf.keras.optimizers.legacy`.

Keras has it only among its newer optimizers, which TFRS's CompositeOptimizer does not take.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class AdamW(tf.keras.optimizers.legacy.Adam):  # type: ignore[misc]
    """Adam with decoupled weight decay (https://arxiv.org/abs/1711.05101).

    Variables shrink by `learning_rate * weight_decay` of themselves before each Adam update; of
    an embedding table only the rows that the batch used.

    Args:
        learning_rate: A rate or a schedule.
        weight_decay: See above; 0 for none.
        include: Regular expressions; variables in whose name one is found shrink always.
        exclude: Others in whose name one of these is found do not. None: vectors and scalars
            (biases, norms) do not.
        name: Name of the optimizer.
        **kwargs: See `tf.keras.optimizers.legacy.Adam`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        include: Sequence[str] = (),
        exclude: Sequence[str] | None = None,
        name: str = "AdamW",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.weight_decay = weight_decay
        self.include = list(include)
        self.exclude = None if exclude is None else list(exclude)

    def _resource_apply_dense(self, grad: Any, var: Any, apply_state: Any = None) -> Any:
        if self._shrinks(var):
            rate = self._rate(var, apply_state)
            with tf.control_dependencies([var.assign_sub(rate * var, use_locking=True)]):
                return super()._resource_apply_dense(grad, var, apply_state)
        return super()._resource_apply_dense(grad, var, apply_state)

    def _resource_apply_sparse(
        self, grad: Any, var: Any, indices: Any, apply_state: Any = None
    ) -> Any:
        if not self._shrinks(var):
            return super()._resource_apply_sparse(grad, var, indices, apply_state)
        rate = self._rate(var, apply_state)
        shrink = tf.IndexedSlices(rate * tf.gather(var, indices), indices)
        with tf.control_dependencies([var.scatter_sub(shrink)]):
            return super()._resource_apply_sparse(grad, var, indices, apply_state)

    def _shrinks(self, var: Any) -> bool:
        if not self.weight_decay:
            return False
        if any(re.search(pattern, var.name) for pattern in self.include):
            return True
        if self.exclude is None:
            return len(var.shape) > 1
        return not any(re.search(pattern, var.name) for pattern in self.exclude)

    def _rate(self, var: Any, apply_state: Any) -> Any:
        state = (apply_state or {}).get((var.device, var.dtype.base_dtype))
        rate = state["lr_t"] if state else self._decayed_lr(var.dtype.base_dtype)
        return rate * self.weight_decay

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {
            **super().get_config(),
            "weight_decay": self.weight_decay,
            "include": list(self.include),
            "exclude": None if self.exclude is None else list(self.exclude),
        }
