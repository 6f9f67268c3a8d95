package fulcio

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

// Limits of a pattern: its length in bytes, and its compiled size. Matching takes at most the product of the compiled
// size and the length of the URI, in steps of some nanoseconds.
const (
	maxPattern = 1024
	maxProgram = 500
)

// compilePattern returns a regular expression that matches whole URIs. A pattern must begin with a fixed scheme, host
// and first segment of the path: everybody can have a repository on a public host, and a pattern such as
// https://github\.com/.* would accept all of them.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("it has %d bytes, and the maximum is %d", len(pattern), maxPattern)
	}
	// The pattern is parsed alone first, so that it cannot close the group that encloses it below.
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, notRE2(err)
	}
	prefix, _ := literalPrefix(parsed)
	owner := regexp.MustCompile(`^https://[A-Za-z0-9.-]+(:[0-9]+)?/([A-Za-z0-9._~%+-]+)/`).FindStringSubmatch(prefix)
	if owner == nil || owner[2] == "." || owner[2] == ".." {
		return nil, fmt.Errorf("it must begin with the fixed text https://HOST/OWNER/, so that it matches no other host or "+
			"owner, and only %q is fixed; a dot is written as \\. (in JSON as \\\\.) to be fixed", prefix)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, notRE2(err)
	}
	if len(program.Inst) > maxProgram {
		return nil, fmt.Errorf("it compiles to %d instructions, and the maximum is %d: repeat less",
			len(program.Inst), maxProgram)
	}
	anchored, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf(`it has a \Q without \E: %w`, notRE2(err))
	}
	return anchored, nil
}

func notRE2(err error) error {
	if known, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Errorf("it is not a regular expression in RE2's syntax: %s: %s", known.Code, known.Expr)
	}
	return err
}

// literalPrefix returns the text with which every match begins, and whether it is the whole expression. Text that
// matches in any case is not literal.
func literalPrefix(re *syntax.Regexp) (prefix string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return "", false
		}
		return string(re.Rune), true
	case syntax.OpBeginText, syntax.OpEmptyMatch:
		return "", true
	case syntax.OpCapture:
		return literalPrefix(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			text, all := literalPrefix(sub)
			prefix += text
			if !all {
				return prefix, false
			}
		}
		return prefix, true
	default:
		// Every other operator may match more than one text.
		return "", false
	}
}
