// Package bounded reads files of bounded size.
package bounded
