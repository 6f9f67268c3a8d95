package fetch

import (
	"fmt"

	"github.com/countersign/countersign/policy/registry"
)

// leftOut counts what was left out.
type leftOut struct {
	count int
	first *registry.ContentError
	// temporary reports whether some of it may be there at the next try.
	temporary bool
}

func (l *leftOut) add(bad *registry.ContentError) {
	if l.first == nil {
		l.first = bad
	}
	l.count++
	l.temporary = l.temporary || !bad.Permanent
}

// describe says in words what was left out: what is bad, and what is older than the newest.
func (l *leftOut) describe(things string, older, newest int) string {
	switch {
	case l.count > 0 && older > 0:
		return fmt.Sprintf("%d %s were left out: %v; and %d older ones beyond the newest %d",
			l.count, things, l.first, older, newest)
	case l.count > 0:
		return fmt.Sprintf("%d %s were left out: %v", l.count, things, l.first)
	case older > 0:
		return fmt.Sprintf("%d %s were left out, which are older than the newest %d", older, things, newest)
	default:
		return ""
	}
}
