"""What browser tests stand on: a browser, a server with runs worth looking at."""
