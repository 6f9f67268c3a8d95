// Package trustedroottest creates trusted roots and timestamp authorities for tests.
package trustedroottest
