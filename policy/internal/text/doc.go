// Package text shortens and cleans untrusted text for messages, logs and records.
package text
