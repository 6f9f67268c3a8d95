// Package cri serves the CRI ImageService to the kubelet, at the socket that its imageServiceEndpoint names.
//
// [Proxy] forwards every call to containerd, byte for byte, and returns its answer: messages, status codes, headers and
// trailers. It decodes one request, PullImage, because that request has the pod's namespace and credentials, which
// containerd's image verifier does not receive. A pull that the policy of that namespace cannot admit is refused with a
// text that the kubelet shows as SignatureValidationFailed. An uncertain one is forwarded, because the policy is
// enforced when a container is created.
//
// While the socket does not answer, the kubelet starts no container. Two rules prevent that: the listener may belong to
// systemd, so that it outlives the process, and [Proxy.Serve] ends only after the pulls in progress have ended, because
// containerd cancels a pull when its client disconnects.
package cri
