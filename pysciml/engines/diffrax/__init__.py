"""The embedded engine: Programs lowered to JAX, solved by diffrax, fitted by optax."""
