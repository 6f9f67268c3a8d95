// Package claim reads what stored signatures and bundles claim about themselves, unverified: for which image they were
// made, by which key or certificate, and when.
package claim
