// Package credstest writes credential provider plugins for tests.
package credstest
