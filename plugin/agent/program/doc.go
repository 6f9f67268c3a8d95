// Package program is countersign-agent: it joins what watches the policies of a cluster with what writes documents on
// the node.
package program
