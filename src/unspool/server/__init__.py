"""
HTTP: `app` is the ASGI application, `guard` refuses bad requests, `api/` holds the
resources, `console` serves the pages, `uvicorn` is the server with the limits it lacks,
`workers` keeps several of them behind one port.
"""
