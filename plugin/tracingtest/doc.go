// Package tracingtest has a collector of OpenTelemetry traces for tests.
package tracingtest
