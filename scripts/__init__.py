"""Commands: thin typer scripts over the library; ``python -m scripts.train`` and ``simlstm train`` are one."""
