// Package text shortens and cleans text for messages, logs, records and terminals. It is a leaf package, and the text
// may come from anybody.
package text
