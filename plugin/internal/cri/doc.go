// Package cri calls containerd's CRI, as the kubelet does. It knows nothing of policy.
package cri
