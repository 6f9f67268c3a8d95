// Package daemon asks the node's daemon: what documents would refuse, and what was refused.
package daemon
