// Package domain groups the host names of registries by the domain whose owner can create them. It is a leaf package.
package domain
