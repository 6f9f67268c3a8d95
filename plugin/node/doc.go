// Package node installs countersign on a node of Kubernetes from a container that runs there: a DaemonSet's.
//
// The container has the host's process IDs and all privileges. Its programs are copied to the host and run in the
// namespaces of the host's first process, as if an administrator had logged in. When the node enforces, or audits, the
// taint that keeps pods from a new node is removed.
package node
