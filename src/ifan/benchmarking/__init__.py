"""How fast a model is on this machine, and what memory it takes, for photographs of any size.

| what | module |
|---|---|
| one setup, photograph by photograph | `ifan.benchmarking.benchmark` |
| what one process measures | `ifan.benchmarking.measuring` |
| a process of its own for each measurement | `ifan.benchmarking.processes` |
| the multiplications that a network needs | `ifan.benchmarking.cost` |
| photographs to measure with | `ifan.benchmarking.photographs` |

PyTorch is not needed, and no photograph.
"""
