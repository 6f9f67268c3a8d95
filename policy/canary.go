package policy

import "strings"

// The canaries are containers with which an operator proves that policies are enforced. They have a namespace, images
// and a policy of their own, which no file can change.
const (
	// CanaryNamespace contains a dot, which no name of a Kubernetes namespace does: no pod is in this namespace. Only who
	// may call the runtime itself, which is root, can create a container there.
	CanaryNamespace = "countersign.canary"
	// AdmittedCanary and RefusedCanary are the names of the images. No registry can have them (RFC 2606).
	AdmittedCanary = CanaryImages + "admitted:1"
	RefusedCanary  = CanaryImages + "refused:1"

	// CanaryImages is the prefix of these names.
	CanaryImages = "countersign.invalid/canary/"

	// CanaryPolicy is the document of the namespace, in the format of containers-policy.json(5).
	CanaryPolicy = `{"default": [{"type": "reject"}], "transports": {"docker": {"` + CanaryImages +
		`admitted": [{"type": "insecureAcceptAnything"}]}}}`
)

// IsCanary reports whether a name is that of the image of a canary.
func IsCanary(name string) bool { return strings.HasPrefix(name, CanaryImages) }
