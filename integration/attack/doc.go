// Package attack contains attacks of a tenant on countersign, on a real containerd. The attacker may create pods in one
// namespace, push to his own repositories, and run a registry. The package contains only tests.
//
// There are two nodes. The bare one has no countersign and shows that an attack works. The guarded one requires
// countersign and shows that the attack is refused, why, and that its victim is not affected. The tests collect the
// text of every refusal, and finally check that all of them contain only what a tenant may read.
package attack
