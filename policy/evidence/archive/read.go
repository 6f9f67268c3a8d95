package archive

import (
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
	limit := int64(format.MaxFile)
	if p.kind == kindBundle {
		limit = format.MaxAttestation
	}
	content, err := l.Blob(p.layer.Digest, limit)
	if err != nil {
		return err
	}
	var bundle format.Bundle
	if p.kind == kindBundle {
		if bundle, err = format.ParseBundle(content); err != nil {
			return fmt.Errorf("%s: %w", p.layer.Digest, err)
		}
	}
	of := format.KindSignature
	if bundle.Attestation() {
		of = format.KindAttestation
	}
	if read[of] += int64(len(content)); read[of] > format.MaxTotal {
		return fmt.Errorf("it has more than %d bytes together", format.MaxTotal)
	}
	if p.kind == kindBundle {
		found.Add(bundle.Kind(), content)
		return nil
	}
	signature := format.Signature{Payload: content}
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
