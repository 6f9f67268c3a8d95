// Package kubernetes boots a control plane of one node: etcd, kube-apiserver and a kubelet, in front of the containerd
// of a test's node. There is no scheduler and no controller: a pod names its node.
package kubernetes
