"""An archive to try things on."""
