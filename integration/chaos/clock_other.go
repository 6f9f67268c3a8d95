//go:build linux && !amd64

package main

// clockFaults are those of the clock, of which there are none for other processors: the replacement is machine code.
func clockFaults() []fault { return nil }
