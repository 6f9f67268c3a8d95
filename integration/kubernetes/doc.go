// Package kubernetes boots a control plane of one node: etcd, kube-apiserver and a kubelet, in front of the containerd
// of a test's node. There is no scheduler: a pod names its node. A test names the controllers that it needs.
package kubernetes
