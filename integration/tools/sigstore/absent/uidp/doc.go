// Package uidp is empty: it stands for the one that the tests of Fulcio import, so that go mod tidy finds it.
package uidp
