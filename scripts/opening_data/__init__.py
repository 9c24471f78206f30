"""From public, openly licensed downloads to the text files that recipes read."""
