def write(summary): pass
