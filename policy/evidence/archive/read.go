package archive

import (
	"errors"
	"fmt"
	"iter"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy/evidence/format"
)

// Found is what was found of one manifest in one repository.
type Found struct {
	format.Item
	// Err is why the item cannot be had, and names it. Others can.
	Err error
}

// Evidence yields what the layout has of evidence, in its order; as is the repository of what names none, as only
// [Write] has it named. An item of no repository is an error where as is nil.
func (l *Layout) Evidence(as reference.Named) iter.Seq[Found] {
	return func(yield func(Found) bool) {
		c := &collection{
			layout: l, seen: map[digest.Digest]bool{}, layers: map[digest.Digest]bool{}, groups: map[place]*group{},
		}
		c.collect()
		if c.err != nil && !yield(Found{Err: fmt.Errorf("reading %s: %w", l.path, c.err)}) {
			return
		}
		for _, g := range c.order {
			if !yield(l.read(g, as)) {
				return
			}
		}
	}
}

// read reads the files of one group.
func (l *Layout) read(g *group, as reference.Named) Found {
	found := Found{Item: format.Item{Manifest: g.manifest, Repository: g.repository}}
	if g.repository == "" && as == nil {
		found.Err = fmt.Errorf("%s does not say in which repository %s was signed", l.path, g.manifest)
		return found
	}
	if g.repository == "" {
		found.Repository = as.Name()
	}
	rooms := map[format.Kind]int64{}
	for _, part := range g.parts {
		if err := l.readPart(part, &found, rooms); err != nil {
			found.Err = fmt.Errorf("reading evidence of %s in %s: %w", g.manifest, l.path, err)
			return found
		}
	}
	var files []format.File
	for _, kind := range format.Kinds() {
		files = append(files, newest(found.Files, kind)...)
	}
	found.Files = files
	return found
}

// newest returns the newest files of one kind, as many as are stored.
func newest(files []format.File, kind format.Kind) []format.File {
	contents := format.Contents(files, kind)
	return format.Files(kind, contents[max(0, len(contents)-format.MaxFiles):]...)
}

// readPart reads one part. read counts the bytes of attestations, and of everything else as signatures.
func (l *Layout) readPart(p part, found *Found, read map[format.Kind]int64) error {
	isBundle := p.kind == kindBundle || p.kind == kindEnvelope
	limit := int64(format.MaxFile)
	if isBundle {
		limit = format.MaxAttestation
	}
	content, err := l.Blob(p.layer.Digest, limit)
	if p.kind == kindEnvelope && errors.Is(err, errTooLarge) {
		// cosign saves all attestations of an image, whether anybody needs them or not.
		return nil
	}
	if err != nil {
		return err
	}
	if isBundle {
		return p.addBundle(content, found, read)
	}
	if read[format.KindSignature] += int64(len(content)); read[format.KindSignature] > format.MaxTotal {
		return errTooMany
	}
	return p.addSignature(content, found)
}

// errTooMany reports that the evidence of one manifest is larger than what is stored.
var errTooMany = fmt.Errorf("it has more than %d bytes together", format.MaxTotal)

// addBundle adds a bundle, or an attestation of cosign's old format as a bundle.
func (p part) addBundle(content []byte, found *Found, read map[format.Kind]int64) (err error) {
	if p.kind == kindEnvelope {
		if content, err = format.AttestationFile(content, p.layer.Annotations); err != nil {
			return fmt.Errorf("%s: %w", p.layer.Digest, err)
		}
	}
	bundle, err := format.ParseBundle(content)
	if err != nil {
		return fmt.Errorf("%s: %w", p.layer.Digest, err)
	}
	of := format.KindSignature
	if bundle.Attestation() {
		of = format.KindAttestation
	}
	if p.kind == kindEnvelope && of != format.KindAttestation {
		return nil
	}
	if read[of] += int64(len(content)); read[of] > format.MaxTotal {
		return errTooMany
	}
	found.Add(bundle.Kind(), content)
	return nil
}

// addSignature adds a signature with that payload.
func (p part) addSignature(payload []byte, found *Found) error {
	signature := format.Signature{Payload: payload}
	if p.kind == kindSignatures {
		signature.MediaType, signature.Annotations = p.layer.MediaType, p.layer.Annotations
	}
	file, err := signature.File()
	if err == nil {
		_, err = format.ParseSignature(file)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.layer.Digest, err)
	}
	found.Add(format.KindSignature, file)
	return nil
}
