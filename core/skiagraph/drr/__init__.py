"""From a phantom to an X-ray: line integrals along the rays of a view, then physics."""
