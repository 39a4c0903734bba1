"""An invented firm's careless website and simulated visitors: the product tried out in one command."""
