// Package explain tests, on a real node, that every refusal is explained: docs/troubleshooting.md has the output of the
// tests, and explain, check and the daemon agree.
package explain
