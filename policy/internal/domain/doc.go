// Package domain groups the names of registries by who can make them. It is a leaf package.
package domain
