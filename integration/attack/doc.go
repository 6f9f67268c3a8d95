// Package attack holds what a tenant would try against countersign, on a real containerd: somebody who may create pods
// in one namespace, push to repositories of his own, and run a registry. Its only code is its tests.
//
// There are two nodes. The bare one has no countersign and shows that an attack works; the guarded one requires
// countersign and shows that it is refused, why, and that its victim is not harmed. Every text with which a pod was
// refused is kept, and in the end all of them are held to what a tenant may read.
package attack
