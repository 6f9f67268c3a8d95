package reconcile

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/countersign/countersign/plugin/agent/write"
)

// protect asks the daemon whether the documents that shall govern protected namespaces refuse what runs there. These
// namespaces then stay governed by what governs them now, by documents of their own; all other namespaces are not
// concerned. If the daemon does not answer, everything is written: a node without its daemon starts no container, and
// documents that are looser than what is asked for must not last until the daemon answers.
func (p *pass) protect(policies map[string][]ID) error {
	p.pinned = map[string]write.Document{}
	if p.config.Preview == nil {
		return nil
	}
	asked, now, err := p.changes(policies)
	if err != nil || len(asked) == 0 {
		return err
	}
	refused, err := p.config.Preview(p.ctx, asked)
	if err != nil {
		p.problem(everywhere, notPreviewed,
			fmt.Sprintf("the daemon does not say what documents would refuse, and they are written: %v", err))
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		if len(refused[name]) > 0 && asked[name] != nil {
			p.pinned[name] = write.Document{JSON: now[name]}
			p.problem(name, SelfLockout, "the policies would refuse what runs here, so the document stays as it was: "+
				strings.Join(refused[name], ", "))
		}
	}
	return nil
}

// changes returns what shall govern the protected namespaces, and what governs them now, where that differs.
func (p *pass) changes(policies map[string][]ID) (asked, now map[string][]byte, err error) {
	asked, now = map[string][]byte{}, map[string][]byte{}
	for _, name := range p.config.Protected {
		namespace, ok := p.current[name]
		if !ok || p.frozen[name] {
			continue
		}
		made, err := p.compiler.Namespace(namespace.Namespace, p.held.imagePolicies(policies[name]))
		if err != nil {
			return nil, nil, err
		}
		governs, err := p.config.Writer.Read(name)
		if err != nil {
			return nil, nil, fmt.Errorf("reading what governs namespace %s: %w", name, err)
		}
		if governs == nil {
			governs = p.system
		}
		if shall := p.effective(made.JSON); !bytes.Equal(shall, governs) {
			asked[name], now[name] = shall, governs
		}
	}
	return asked, now, nil
}

// effective returns the document that governs a namespace with this document.
func (p *pass) effective(document []byte) []byte {
	switch {
	case document != nil:
		return document
	case p.cluster.JSON != nil:
		return p.cluster.JSON
	default:
		return p.system
	}
}
