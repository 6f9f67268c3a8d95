// Package install installs countersign on a node and removes it.
//
// An installation is a plan of changes to files, made from the state of the host and containerd's effective
// configuration: [Make]. A plan can be shown as a diff, or carried out: package journal makes either all of its changes
// or none. Between the changes, services are restarted in an order in which containers can always start.
//
// The host's root may be another directory than this process's: then no service is restarted.
package install
