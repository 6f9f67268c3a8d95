// Package condition evaluates the conditions of policies about attestations: expressions of the Common Expression
// Language (CEL) over an in-toto statement. What an expression and a statement can cost is limited: an evaluation takes
// some milliseconds at most, whatever they contain.
package condition
