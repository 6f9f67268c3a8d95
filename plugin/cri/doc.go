// Package cri serves the CRI ImageService to the kubelet, at the socket that its imageServiceEndpoint names.
//
// [Proxy] passes every call through to containerd, byte for byte, and the answer back: messages, status codes, headers
// and trailers. It decodes one request, PullImage, because that request names the pod's namespace and carries its
// credentials, which containerd's image verifier does not learn. A pull that the policy of that namespace cannot admit
// is refused with a text that the kubelet shows as SignatureValidationFailed; whatever is not certain is passed on, and
// the decision follows when a container is created.
//
// While the socket does not answer, the kubelet starts no container. Two rules keep that from happening: the listener
// may belong to systemd, so that it outlives the process, and [Proxy.Serve] ends only after the pulls in progress have
// ended, because containerd cancels a pull when its client disconnects.
package cri
