"""
Browser tests: real pages in a real browser over `unspool serve`.

Chromium is `CHROMIUM_PATH`, else Debian's `/usr/bin/chromium`, else Playwright's own. Where there
is none, or the console is not built, the tests are skipped, and say so.
"""
