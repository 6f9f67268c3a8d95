package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Path is the path of the file, as the caller gave it.
	Path string
	// Line and Column are where the key is whose value is wrong, or where the file stops being TOML. Both count from 1;
	// columns count bytes, as compilers do.
	Line, Column int
	// Text says what is wrong and what to do.
	Text string
}

// Error returns the problem as one line: path:line:column: text.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.Path, p.Line, p.Column, strings.ReplaceAll(p.Text, "\n", " "))
}

// Problems are all that is wrong with a configuration, in the order of the file. There is at least one.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, 0, len(p))
	for _, problem := range p {
		lines = append(lines, problem.Error())
	}
	return strings.Join(lines, "\n")
}

// sorted returns the problems in the order of the file.
func (p Problems) sorted() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}
