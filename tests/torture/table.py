def summary(p): return {}
def short(s,l): return []
