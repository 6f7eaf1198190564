"""Numeric functions compiled for CPU vector units, GPUs and clusters."""
