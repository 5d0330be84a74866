"""How a claim is measured, judged, stored and shown. The claims themselves are one folder up."""
