"""HTTP in and out: the middleware, the proxy, the public pages, the operator's console."""
