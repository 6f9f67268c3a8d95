// Package signedidentity compares the name that a signature has with the one that an image has, by the signedIdentity
// of a requirement (containers-policy.json(5)). Packages that judge signatures of different formats share it.
package signedidentity
