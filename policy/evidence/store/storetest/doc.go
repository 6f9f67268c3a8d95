// Package storetest stores evidence for tests of what uses a store, and damages it.
package storetest
