"""An optimizer that takes private gradients only.

Differentially private training clips the gradient of each example, which must happen before they
are averaged. An optimizer sees averages; what it could add to them would protect nothing.
"""

from __future__ import annotations

from typing import Any, NoReturn

from babelrank.components.errors import ConfigError
from babelrank.components.training.wrapper import Wrapper


class PrivateOptimizer(Wrapper):
    """Refuses gradients from anyone but a training loop that made them private.

    A trainer that knows nothing of privacy, such as the Model Garden's, calls `apply_gradients`
    and fails, instead of training without the privacy that was asked for.

    Args:
        optimizer: The optimizer that takes the steps.
        name: Name of the optimizer.
    """

    def __init__(self, optimizer: Any, name: str = "PrivateOptimizer") -> None:
        super().__init__(optimizer, name)

    def apply_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> NoReturn:
        """Always raises.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "dp_config: these gradients are of whole batches, so that nobody could bound what one "
            "example does to them; train with babelrank's loop, which clips the gradient of each "
            "example, or take null."
        )

    def apply_private_gradients(
        self,
        grads_and_vars: Any,
        name: str | None = None,
        experimental_aggregate_gradients: bool = True,
    ) -> Any:
        """Takes a step; the caller clipped the gradient of each example and added the noise.

        Args:
            grads_and_vars: Pairs of a gradient and its variable.
            name: Name of the operations.
            experimental_aggregate_gradients: Sum the gradients of the replicas.

        Returns:
            What the inner optimizer returns.
        """
        return super().apply_gradients(grads_and_vars, name, experimental_aggregate_gradients)
