package files

import (
	"time"

	"github.com/countersign/countersign/policy"
)

// Parse parses a document that is not a file, as if it were one: the key files that it names are read.
func Parse(raw []byte, name string, parse policy.ParseFunc, panicked policy.PanicFunc) (*policy.Document, error) {
	config := Config{Parse: parse, Panicked: panicked}
	reads := &keyReads{now: time.Now(), files: make(map[string]*keyRead)}
	check := fileCheck{}
	check.document, _, check.err = reads.parse(&config, raw)
	setPath(name, &check)
	return check.document, check.err
}
