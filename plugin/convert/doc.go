// Package convert turns policies of other projects into the objects of this one: those of OpenShift, of sigstore's
// policy-controller and of Kyverno.
//
// An object is converted as a whole or not at all: what cannot be said in the objects of this project is refused by
// name, because a policy without it would admit, or refuse, other images. Every field that is not known is refused.
package convert
