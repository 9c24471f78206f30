"""What ``scripts/benchmark.py ... --device cuda`` measures."""
