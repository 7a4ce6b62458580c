"""How fast vulcan is beside the peer, measured in pairs."""
