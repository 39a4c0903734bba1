"""An invented firm's website with careless tags, and simulated visitors: the product tried out in one command."""
