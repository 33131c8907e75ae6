"""What XLA's compiler is told besides the program."""

import functools

import jax

# jaxlib 0.10 gives products and convolutions on CPU to YNNPACK. Convolutions take two to six times
# as long there as in Eigen for kernels and pictures of odd sizes, so that products alone are left.
_PLAIN = {'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_DOT'}


@functools.lru_cache(maxsize=1)
def options() -> dict | None:
    """`compiler_options` of jax.jit for programs that convolve; None where nothing is to be said.

    On CPU alone, and where this XLA knows the option.
    """
    if jax.default_backend() != 'cpu':
        return None
    try:
        jax.jit(lambda x: x, compiler_options=_PLAIN).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:  # an older or a newer XLA
        return None
    return _PLAIN
