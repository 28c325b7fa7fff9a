"""The command line `transferlens`: what the library does, without writing Python."""
